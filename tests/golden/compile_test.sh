#!/bin/sh
# Compiles what the plugin is expected to write, and the public headers under it, with every warning
# that a strict user has on: all files of the zoo together, and each header by itself.
#
#   compile_test.sh COMPILER EXPECTED_DIR CORE_INCLUDE_DIR -isystem DIR...
set -eu
compiler=$1 expected=$2 core=$3
shift 3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
(cd "$expected" && find . -name '*.rookery.cc' | LC_ALL=C sort | sed 's|^\./\(.*\)|#include "\1"|') \
    > "$scratch/all.cc"
test "$(wc -l < "$scratch/all.cc")" -ge 16
compile() {
  # $compiler may be two words: "ccache g++".
  $compiler -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
      -I"$expected" -I"$core" "$@"
}
compile "$@" "$scratch/all.cc"
# A header that leans on another file's includes is found out by coming first.
(cd "$expected" && find . -name '*.rookery.h' | sed 's|^\./||') | while read -r header; do
  case $header in
    shop/*|services_only*|nested_imported*|empty.*|keywords*)
      echo "#include \"$header\"" > "$scratch/one.cc"
      compile "$@" "$scratch/one.cc" ;;
  esac
done
