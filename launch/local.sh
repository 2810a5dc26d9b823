#!/usr/bin/env bash
# Runs an experiment or a tool on this machine; creates the virtual environment at the first use.
#
#   ./launch/local.sh                      lists all names
#   ./launch/local.sh NAME [flags]
#   ./launch/local.sh vae --config=digits
#   ./launch/local.sh vae --help
#   ./launch/local.sh sample --workdir=runs/vae-digits
#
# Paths in flags are relative to the working directory. Rerun the same command to resume a run.
set -euo pipefail

unset CDPATH # with it, cd prints where it goes
here="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)"
experiments="$here/../experiments"
names="$(cd "$experiments" && grep -l "^if __name__ == \"__main__\":" -- *.py */*.py | sed "/^__/d; s/\.py$//; s|/|.|" | tr "\n" " ")"
name="${1:-}"
if [[ -z "$name" ]]; then
  printf 'usage: launch/local.sh NAME [flags], where NAME is one of:\n\n' >&2
  # The list with descriptions needs any Python, which may be missing before the environment is created.
  PYTHONPATH="$here/.." PYTHONSAFEPATH=1 python3 -m experiments >&2 2>/dev/null || printf '%s\n' "${names% }" >&2
  exit 2
elif [[ " $names" != *" $name "* ]]; then
  printf 'error: no experiment %s; usage: launch/local.sh NAME [flags], where NAME is one of: %s\n' \
    "$name" "${names% }" >&2
  exit 2
fi
shift

# shellcheck source=launch/environment.sh
source "$here/environment.sh"
exec "$python" -m "experiments.$name" "$@"
