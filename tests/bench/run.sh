#!/bin/sh
# Runs one benchmark, or all of them: run.sh [NAME|all] [BUILD_DIR]
# The programs must be built (release). The table goes to standard output, the figures to
# BUILD_DIR/bench/NAME.json.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec python3 "$here/run.py" "${1:-all}" "${2:-$here/../../build}"
