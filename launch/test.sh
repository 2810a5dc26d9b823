#!/usr/bin/env bash
# Runs the tests; makes the virtual environment at the first use. Arguments go to pytest.
#
#   ./launch/test.sh
#   ./launch/test.sh --quick                       without those marked slow: a contributor's loop
#   ./launch/test.sh tests/core -k resume
#   GDL_JAX_DATA_DIR=~/data ./launch/test.sh      also the tests that need the book's own data sets
set -euo pipefail

# shellcheck source=launch/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
if [ "${1:-}" = --quick ]; then
  shift
  set -- -m "not slow" "$@"
fi
# Most of a test's time is compiling, on one core; a file's tests share what they set up, and stay together.
exec "$python" -m pytest --numprocesses=auto --dist=loadfile "$@"
