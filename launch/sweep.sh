#!/usr/bin/env bash
# Runs a grid: every combination of the values of some flags, each in its own workdir.
#
#   ./launch/sweep.sh NAME [flags] -- --flag=VALUE,VALUE ...
#   ./launch/sweep.sh vae --config=digits -- --kl_weight=0.5,1,2 --z_dim=2,8
#   LAUNCH='sbatch launch/slurm.sh' ./launch/sweep.sh vae --config=faces -- --seed=0,1,2
#
# Flags before `--` are shared by all runs. If a value is itself a list, separate values by semicolons:
# '--encoder_filters=32,64;16,32'. Workdirs are $SWEEP [runs/NAME-sweep]/kl_weight=0.5,z_dim=2/ and so on.
# Runs are sequential, or are passed to the command in $LAUNCH. Rerun the same command to resume unfinished runs;
# complete ones are skipped.
set -euo pipefail

# $LAUNCH may contain arguments; the path of local.sh may contain spaces.
read -r -a launch <<<"${LAUNCH:-}"
if [ ${#launch[@]} -eq 0 ]; then launch=("$(dirname "${BASH_SOURCE[0]}")/local.sh"); fi

usage() {
  printf 'error: %s; usage: launch/sweep.sh NAME [flags] -- --flag=VALUE,VALUE ...\n' "$1" >&2
  exit 2
}

[ $# -gt 0 ] || usage "NAME is missing"
name="$1"
shift
shared=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  shared+=("$1")
  shift
done
[ $# -gt 1 ] || usage "no flags to sweep after --"
shift

grid=("") # each entry holds the flags of one combination, one per line
for swept in "$@"; do
  [[ "$swept" == --*=* ]] || usage "$swept is not of the form --flag=VALUE,VALUE"
  case "$swept" in *';'*) separator=';' ;; *) separator=',' ;; esac
  IFS="$separator" read -r -a values <<<"${swept#*=}"
  next=()
  for combination in "${grid[@]}"; do
    for value in "${values[@]}"; do next+=("$combination${swept%%=*}=$value"$'\n'); done
  done
  grid=("${next[@]}")
done

failed=0
for combination in "${grid[@]}"; do
  mapfile -t flags <<<"${combination%$'\n'}"
  label="$(IFS=,; printf '%s' "${flags[*]#--}")"
  printf '== %s %s\n' "$name" "$label" >&2
  "${launch[@]}" "$name" ${shared[@]+"${shared[@]}"} "${flags[@]}" --workdir="${SWEEP:-runs/$name-sweep}/$label" ||
    failed=$((failed + 1))
done
if [ "$failed" -gt 0 ]; then
  printf 'error: %s of %s runs failed\n' "$failed" "${#grid[@]}" >&2
  exit 1
fi
