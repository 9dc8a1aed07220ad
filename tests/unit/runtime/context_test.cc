#include "rookery/runtime/context.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace rookery {
namespace {

struct Counted {
  static inline int alive = 0;
  int value = 0;
  explicit Counted(int v) : value(v) { ++alive; }
  Counted(const Counted& other) : value(other.value) { ++alive; }
  ~Counted() { --alive; }
};
struct alignas(64) Wide {
  std::uint64_t words[8] = {};
};

inline constexpr ContextKey<std::string> kUser{"user.id", Propagation::kBaggage};
inline constexpr ContextKey<int> kNumber{"number"};
inline constexpr ContextKey<bool> kFlag{"flag"};
inline constexpr ContextKey<std::uint8_t> kByte{"byte"};
inline constexpr ContextKey<Counted> kCounted{"counted"};
inline constexpr ContextKey<Wide> kWide{"wide"};
inline constexpr ContextKey<std::int64_t> kMany[] = {
    ContextKey<std::int64_t>{"0"}, ContextKey<std::int64_t>{"1"}, ContextKey<std::int64_t>{"2"},
    ContextKey<std::int64_t>{"3"}, ContextKey<std::int64_t>{"4"}, ContextKey<std::int64_t>{"5"},
    ContextKey<std::int64_t>{"6"}, ContextKey<std::int64_t>{"7"}, ContextKey<std::int64_t>{"8"},
    ContextKey<std::int64_t>{"9"}};

class Recycled final : public Context {
 public:
  using Context::ResetContext;
  int unreferenced = 0;

 private:
  void OnUnreferenced() noexcept override { ++unreferenced; }
};

TEST(Context, KeepsValues) {
  Context context;
  EXPECT_EQ(context.Find(kUser), nullptr);
  context.Set(kUser, "u-1");
  context.Set(kNumber, 5);
  EXPECT_EQ(*context.Find(kUser), "u-1");
  context.Set(kUser, *context.Find(kUser) + "2");
  EXPECT_EQ(*context.Find(kUser), "u-12");
  context.Erase(kUser);
  EXPECT_EQ(context.Find(kUser), nullptr);
  EXPECT_EQ(*context.Find(kNumber), 5);
  context.Set(kUser, "again");
  std::vector<std::string_view> names;
  context.ForEach([&](const ContextKeyBase& key, const void*) { names.push_back(key.name); });
  EXPECT_EQ(names, (std::vector<std::string_view>{"user.id", "number"}));
}

TEST(Context, GrowsBeyondItsOwnStorage) {
  Context context;
  for (int i = 0; i < 10; ++i) context.Set(kMany[i], i);
  context.Set(kWide, Wide());
  context.Set(kUser, std::string(1000, 'u'));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*context.Find(kMany[i]), i);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(context.Find(kWide)) % alignof(Wide), 0U);
  EXPECT_EQ(context.Find(kUser)->size(), 1000U);
}

TEST(Context, DestroysItsValues) {
  {
    Context context;
    context.Set(kCounted, Counted(1));
    context.Set(kCounted, Counted(2));
    EXPECT_EQ(Counted::alive, 1);
    context.Erase(kCounted);
    EXPECT_EQ(Counted::alive, 0);
    context.Set(kCounted, Counted(3));
  }
  EXPECT_EQ(Counted::alive, 0);
}

TEST(Context, ReadsAndWritesText) {
  Context context;
  EXPECT_TRUE(context.SetText(kUser, "u"));
  EXPECT_TRUE(context.SetText(kNumber, "-12"));
  EXPECT_EQ(*context.Find(kNumber), -12);
  for (const char* bad : {"", "x", "12x", " 12", "99999999999", "0x10", "1.5"}) {
    EXPECT_FALSE(context.SetText(kNumber, bad)) << bad;
    EXPECT_EQ(context.Find(kNumber), nullptr) << bad;
  }
  EXPECT_TRUE(context.SetText(kByte, "255"));
  EXPECT_FALSE(context.SetText(kByte, "256"));
  EXPECT_FALSE(context.SetText(kByte, "-1"));
  EXPECT_TRUE(context.SetText(kFlag, "true"));
  EXPECT_EQ(kFlag.to_text(context.FindErased(kFlag)), "true");
  EXPECT_FALSE(context.SetText(kFlag, "yes"));
  EXPECT_FALSE(context.SetText(kCounted, "1"));  // has no text form
  EXPECT_EQ(kCounted.to_text, nullptr);
  EXPECT_TRUE(kUser.propagates);
}

TEST(Context, ChildrenInheritOverrideOrShare) {
  Context parent;
  parent.Set(kUser, "u");
  const ContextRef inherit = ContextRef::Adopt(Context::NewChild(&parent));
  const ContextRef empty =
      ContextRef::Adopt(Context::NewChild(&parent, Context::Nesting::kOverride));
  const ContextRef share = ContextRef::Adopt(Context::NewChild(&parent, Context::Nesting::kShare));
  EXPECT_EQ(*inherit->Find(kUser), "u");
  EXPECT_EQ(empty->Find(kUser), nullptr);
  inherit->Set(kUser, "child");
  EXPECT_EQ(*parent.Find(kUser), "u");
  share->Set(kNumber, 1);
  EXPECT_EQ(*parent.Find(kNumber), 1);
  const ContextRef below = ContextRef::Adopt(Context::NewChild(share.get()));
  EXPECT_EQ(*below->Find(kNumber), 1);
}

TEST(Context, ChildrenHaveTheParentsDeadlineAndCancellation) {
  Context parent;
  const Deadline deadline = std::chrono::steady_clock::now() + std::chrono::hours(1);
  parent.TightenDeadline(deadline);
  parent.TightenDeadline(deadline + std::chrono::hours(1));
  const ContextRef child = ContextRef::Adopt(Context::NewChild(&parent));
  const ContextRef grandchild = ContextRef::Adopt(Context::NewChild(child.get()));
  const ContextRef detached = ContextRef::Adopt(Context::NewDetached(child.get()));
  EXPECT_EQ(grandchild->deadline(), deadline);
  EXPECT_EQ(detached->deadline(), kNoDeadline);
  child->TightenDeadline(deadline - std::chrono::minutes(1));
  EXPECT_EQ(parent.deadline(), deadline);
  parent.cancel_source().Cancel(absl::AbortedError("enough"));
  EXPECT_EQ(grandchild->cancel_source().reason(), absl::AbortedError("enough"));
  EXPECT_FALSE(detached->cancelled());
  const ContextRef late = ContextRef::Adopt(Context::NewChild(child.get()));
  EXPECT_TRUE(late->cancelled());
}

TEST(Context, ACancelledChildLeavesItsParentAlone) {
  Context parent;
  const ContextRef child = ContextRef::Adopt(Context::NewChild(&parent));
  child->cancel_source().Cancel(absl::CancelledError("only this"));
  EXPECT_FALSE(parent.cancelled());
}

TEST(Context, IsKeptByItsChildrenAndRecycled) {
  Recycled context;
  context.Set(kCounted, Counted(1));
  context.TightenDeadline(Deadline{});
  {
    const ContextRef child = ContextRef::Adopt(Context::NewChild(&context));
    context.Unref();
    EXPECT_EQ(context.unreferenced, 0);
  }
  EXPECT_EQ(context.unreferenced, 1);
  context.cancel_source().Cancel(absl::CancelledError());
  context.ResetContext();
  EXPECT_EQ(Counted::alive, 0);
  EXPECT_TRUE(context.unique());
  EXPECT_FALSE(context.cancelled());
  EXPECT_EQ(context.deadline(), kNoDeadline);
  EXPECT_EQ(context.Find(kCounted), nullptr);
}

TEST(ContextScope, Nests) {
  Context outer;
  Context inner;
  EXPECT_EQ(Context::Current(), nullptr);
  {
    const ContextScope a(&outer);
    {
      const ContextScope b(&inner);
      EXPECT_EQ(Context::Current(), &inner);
    }
    EXPECT_EQ(Context::Current(), &outer);
  }
  EXPECT_EQ(Context::Current(), nullptr);
}

}  // namespace
}  // namespace rookery
