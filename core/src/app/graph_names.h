// The words of a graph's JSON.
#ifndef ROOKERY_SRC_APP_GRAPH_NAMES_H_
#define ROOKERY_SRC_APP_GRAPH_NAMES_H_

#include <array>
#include <string_view>

#include "rookery/di/provider.h"
#include "rookery/di/scope.h"

namespace rookery::internal {

// In the order of EnhancerKind, MethodKind, DependencyForm, ProviderKind and Scope.
inline constexpr std::array<std::string_view, 4> kEnhancerNames{"guard", "interceptor", "pipe",
                                                                "filter"};
inline constexpr std::array<std::string_view, 5> kMethodNames{
    "unary", "server streaming", "client streaming", "bidi streaming", "event"};
inline constexpr std::array<std::string_view, 8> kFormNames{
    "reference", "pointer", "shared", "token", "optional", "lazy", "proxy", "all"};
inline constexpr std::array<std::string_view, 5> kKindNames{"class", "value", "factory", "alias",
                                                            "collection"};
inline constexpr std::array<std::string_view, 4> kRoleNames{"provider", "controller", "enhancer",
                                                            "module"};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_APP_GRAPH_NAMES_H_
