#!/usr/bin/env bash
# Runs an experiment or a tool on this machine; makes the virtual environment at the first use.
#
#   ./launch/local.sh NAME [flags]
#   ./launch/local.sh vae --config=digits
#   ./launch/local.sh vae --help
#   ./launch/local.sh sample --workdir=runs/vae-digits
#
# Paths in flags are relative to where you are. The same command again resumes the run.
set -euo pipefail

experiments="$(cd "$(dirname "${BASH_SOURCE[0]}")/../experiments" && pwd)"
names="$(cd "$experiments" && grep -l "^if __name__ == \"__main__\":" -- *.py */*.py | sed "s/\.py$//; s|/|.|" | tr "\n" " ")"
name="${1:-}"
if [[ -z "$name" || " $names" != *" $name "* ]]; then
  printf 'error: no experiment %s; usage: launch/local.sh NAME [flags], where NAME is one of: %s\n' \
    "${name:-given}" "${names% }" >&2
  exit 2
fi
shift

# shellcheck source=launch/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec "$python" -m "experiments.$name" "$@"
