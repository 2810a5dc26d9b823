#!/usr/bin/env bash
# Runs an experiment on a Cloud TPU pod slice: copies the repository to all hosts and starts one process on each.
#
#   TPU_NAME=my-slice ZONE=us-central2-b ./launch/tpu_pod.sh vae --config=faces --workdir=/mnt/shared/faces
#
# JAX finds the other hosts by itself. The workdir must be on a file system shared by all hosts (NFS, or a mounted
# bucket). Rerun the same command to resume.
set -euo pipefail

: "${TPU_NAME:?set TPU_NAME to the name of the slice}" "${ZONE:?set ZONE to its zone}"
[ $# -gt 0 ] || { echo "error: usage: launch/tpu_pod.sh NAME [flags]" >&2; exit 2; }
unset CDPATH # with it, cd prints where it goes
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

archive="$(mktemp -d)/gdl_jax.tar.gz"
trap 'rm -r "$(dirname "$archive")"' EXIT
tar -czf "$archive" -C "$root" --exclude=./.venv --exclude=./.git --exclude=./runs .
gcloud compute tpus tpu-vm scp "$archive" "$TPU_NAME:gdl_jax.tar.gz" --zone="$ZONE" --worker=all

command="mkdir -p gdl_jax && tar -xzf gdl_jax.tar.gz -C gdl_jax && cd gdl_jax && GDL_JAX_ACCELERATOR=tpu"
command+=" ./launch/local.sh $(printf '%q ' "$@")--distributed"
gcloud compute tpus tpu-vm ssh "$TPU_NAME" --zone="$ZONE" --worker=all --command="$command"
