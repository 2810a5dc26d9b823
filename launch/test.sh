#!/usr/bin/env bash
# Runs the tests; creates the virtual environment at the first use. Arguments are passed to pytest.
#
#   ./launch/test.sh
#   ./launch/test.sh --quick                      without tests marked slow, for development
#   ./launch/test.sh tests/core -k resume
#   GDL_JAX_DATA_DIR=~/data ./launch/test.sh      with tests that need the book's data sets
set -euo pipefail

# shellcheck source=launch/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
if [ "${1:-}" = --quick ]; then
  shift
  set -- -m "not slow" "$@"
fi
# Most of the time is compilation, on one core each; tests of a file share fixtures, so they stay in one process.
exec "$python" -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder "$@"
