#!/bin/sh
# What rookery_add_proto_library() builds again, and when: a proto file, the plugin, protoc or an import
# that changed; and nothing else. Also what it says to wrong arguments.
#
#   rebuild_test.sh GENERATOR SOURCE_DIR PROTOC PLUGIN
#
# Makes a small project out of the function's file alone, with stand-ins for the libraries, so that no
# C++ needs compiling.
set -eu
generator=$1 source=$2 protoc=$3 plugin=$4
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
project=$scratch/project build=$scratch/build
mkdir -p "$project/api/shop" "$project/api/unused" "$project/shared/common" "$scratch/bin"

# Copies, since they are touched.
printf '#!/bin/sh\nexec "%s" "$@"\n' "$protoc" > "$scratch/bin/protoc"
printf '#!/bin/sh\nexec "%s" "$@"\n' "$plugin" > "$scratch/bin/plugin"
chmod +x "$scratch/bin/protoc" "$scratch/bin/plugin"

proto() {  # FILE PACKAGE [IMPORT]
  {
    echo 'syntax = "proto3";'
    echo "package $2;"
    test $# -lt 3 || echo "import \"$3\";"
    echo 'message M {}'
    echo 'service S { rpc Get(M) returns (M); }'
  } > "$project/$1"
}
proto shared/common/money.proto common.money
proto shared/common/price.proto common.price common/money.proto
proto shared/common/unused.proto common.unused
proto api/shop/orders.proto shop.orders common/price.proto
proto api/shop/stock.proto shop.stock rookery/annotations.proto
proto api/shop/plain.proto shop.plain
proto api/unused/other.proto unused.other

cat > "$project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(rebuild LANGUAGES CXX)
add_library(rookery::core INTERFACE IMPORTED)
add_library(rookery::protos INTERFACE IMPORTED)
add_library(protobuf::libprotobuf INTERFACE IMPORTED)
add_executable(protobuf::protoc IMPORTED)
set_target_properties(protobuf::protoc PROPERTIES IMPORTED_LOCATION "$scratch/bin/protoc")
add_executable(rookery::protoc-gen-rookery IMPORTED)
set_target_properties(rookery::protoc-gen-rookery PROPERTIES
  IMPORTED_LOCATION "$scratch/bin/plugin")
set(rookery_PROTO_DIR "$source/proto")
include("$source/proto/cmake/RookeryProto.cmake")
rookery_add_proto_library(common_proto PROTO_ROOT shared
  PROTOS shared/common/money.proto shared/common/price.proto)
rookery_add_proto_library(shop_proto PROTO_ROOT api LINK_LIBRARIES common_proto DESCRIPTORS
  PROTOS api/shop/orders.proto api/shop/stock.proto)
rookery_add_proto_library(plain_proto PROTO_ROOT api NO_SERVICES PROTOS api/shop/plain.proto)
foreach(library common_proto shop_proto plain_proto)
  get_target_property(sources \${library} SOURCES)
  list(FILTER sources INCLUDE REGEX "\\\\.(cc|binpb)\$")
  add_custom_target(generate_\${library} ALL DEPENDS \${sources})
  set_target_properties(\${library} PROPERTIES EXCLUDE_FROM_ALL ON)
endforeach()
add_dependencies(generate_shop_proto generate_common_proto)
$(test ! -f "$scratch/extra" || cat "$scratch/extra")
END

cmake -G "$generator" -S "$project" -B "$build" > "$scratch/configure" 2>&1 || {
  cat "$scratch/configure"; exit 1; }

# Builds, and expects that just these were made.
expect() {  # WHAT MADE...
  what=$1
  shift
  cmake --build "$build" > "$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
  made=$(sed -nE 's/.*(Generating C\+\+ of|Describing) (.*)$/\2/p' "$scratch/log" | sort | tr '\n' ' ')
  wanted=$(printf '%s\n' "$@" | sort | tr '\n' ' ')
  if test "$(echo $made)" != "$(echo $wanted)"; then
    echo "$what: made [$made], not [$wanted]"
    cat "$scratch/log"
    exit 1
  fi
  echo "ok: $what: $(echo $made)"
}
# make looks at whole ticks of the clock.
change() { sleep 0.05; touch "$@"; }

expect "the first build" common/money.proto common/price.proto shop/orders.proto shop/stock.proto \
    shop/plain.proto shop_proto
expect "nothing changed" ''
change "$project/api/shop/stock.proto"
expect "a proto file" shop/stock.proto shop_proto
expect "nothing changed since" ''
change "$project/shared/common/price.proto"
expect "an import, in another library" common/price.proto shop/orders.proto shop_proto
change "$project/shared/common/money.proto"
expect "an import's import" common/money.proto common/price.proto shop/orders.proto shop_proto
change "$project/shared/common/unused.proto" "$project/api/unused/other.proto"
expect "files that nobody imports" ''
change "$scratch/bin/plugin"
expect "the plugin" common/money.proto common/price.proto shop/orders.proto shop/stock.proto \
    shop_proto
change "$scratch/bin/protoc"
expect "protoc" common/money.proto common/price.proto shop/orders.proto shop/stock.proto \
    shop/plain.proto shop_proto
expect "nothing changed in the end" ''

# A mistake stops the build, at its line, and is mended like any other change.
cp "$project/api/shop/stock.proto" "$scratch/stock"
echo 'service T { rpc On(M) returns (M) { option (rookery.event) = {}; } }' \
    >> "$project/api/shop/stock.proto"
if cmake --build "$build" > "$scratch/log" 2>&1; then
  echo "a faulty event was taken"; exit 1
fi
grep -q '^shop/stock.proto:6:37: shop.stock.T.On is an event and returns shop.stock.M' "$scratch/log" || {
  echo "the fault is not told"; cat "$scratch/log"; exit 1; }
cp "$scratch/stock" "$project/api/shop/stock.proto"
expect "the mistake mended" shop/stock.proto shop_proto

for file in common_proto.generated/common/price.rookery.h shop_proto.generated/shop/orders.pb.h \
    shop_proto.generated/shop/stock.rookery.cc shop_proto.generated/shop_proto.binpb; do
  test -s "$build/$file" || { echo "$file is not there"; exit 1; }
done
test ! -e "$build/plain_proto.generated/shop/plain.rookery.h" || { echo "NO_SERVICES"; exit 1; }

# Wrong arguments are told what is wrong.
refuses() {  # ARGUMENTS TEXT
  cp "$project/CMakeLists.txt" "$scratch/kept"
  echo "rookery_add_proto_library($1)" >> "$project/CMakeLists.txt"
  if cmake -S "$project" -B "$build" > "$scratch/log" 2>&1; then
    echo "taken: $1"; exit 1
  fi
  tr -s ' \n' '  ' < "$scratch/log" | grep -qF "$2" || { echo "not told: $2"; cat "$scratch/log"; exit 1; }
  cp "$scratch/kept" "$project/CMakeLists.txt"
}
refuses 'x' 'rookery_add_proto_library(x): PROTOS is missing'
refuses 'x PROTOS' 'rookery_add_proto_library(x): nothing follows PROTOS'
refuses 'x a.proto' 'what is "a.proto"? Files go after PROTOS'
refuses 'x PROTOS none.proto' 'there is no file none.proto'
refuses 'x PROTOS shared/common/money.proto PROTO_ROOT api' 'shared/common/money.proto is not below'
echo "all well"
