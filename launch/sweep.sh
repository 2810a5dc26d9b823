#!/usr/bin/env bash
# Runs a grid: every combination of some flags' values, each in its own workdir.
#
#   ./launch/sweep.sh NAME [flags] -- --flag=VALUE,VALUE ...
#   ./launch/sweep.sh vae --config=digits -- --kl_weight=0.5,1,2 --z_dim=2,8
#   LAUNCH='sbatch launch/slurm.sh' ./launch/sweep.sh vae --config=faces -- --seed=0,1,2
#
# Before `--` stand the flags that all runs share. Where a value is itself a list, put semicolons between values:
# '--encoder_filters=32,64;16,32'. Runs are kept in $SWEEP [runs/NAME-sweep]/kl_weight=0.5,z_dim=2/ and so on.
# They run one after the other, or are handed to the command in $LAUNCH. The same command again resumes what is
# unfinished and passes over what is done.
set -euo pipefail

# $LAUNCH may be a command with arguments of its own; the path of local.sh may have spaces.
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

grid=("") # each entry holds one combination's flags, one a line
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
