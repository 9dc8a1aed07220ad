// Comment: the comments of a proto file as C++ comments.
#ifndef ROOKERY_PROTO_PLUGIN_COMMENT_H_
#define ROOKERY_PROTO_PLUGIN_COMMENT_H_

#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>

namespace rookery::plugin {

// The lines of the comment before a thing (or, without one, behind it), each ready to be written
// into C++: "// ...". Nothing in them can end the comment or hide what follows: a backslash at a
// line's end, control characters, characters that turn the direction of writing and broken UTF-8
// are defused.
[[nodiscard]] std::vector<std::string> CommentLines(
    const google::protobuf::SourceLocation& location);

}  // namespace rookery::plugin

#endif  // ROOKERY_PROTO_PLUGIN_COMMENT_H_
