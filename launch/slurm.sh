#!/usr/bin/env bash
# Runs an experiment as a SLURM job. Submit it from the repository; arguments are those of launch/local.sh:
#
#   sbatch launch/slurm.sh vae --config=faces --workdir=$SCRATCH/faces
#   sbatch --nodes=4 --ntasks-per-node=8 --gpus-per-node=8 launch/slurm.sh vae --config=faces --workdir=$SCRATCH/faces
#
# There is one process per GPU. The workdir must be on a file system shared by all nodes. Two minutes before the time
# limit, and when it is preempted, the run saves a checkpoint; the job is requeued and resumes.
#
#SBATCH --job-name=gdl_jax
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log
set -euo pipefail

# SLURM runs a copy of this script, so its own path is of no use.
launch="${SLURM_SUBMIT_DIR:?submit this script with sbatch}/launch"
[ -f "$launch/environment.sh" ] || { echo "error: submit from the repository: sbatch launch/slurm.sh ..." >&2; exit 2; }
name="${1:?usage: sbatch launch/slurm.sh NAME [flags]}"
shift

# shellcheck source=launch/environment.sh
source "$launch/environment.sh"
flags=("$@")
if [ "${SLURM_NTASKS:-1}" -gt 1 ]; then flags+=(--distributed); fi # JAX finds the other processes through SLURM

preempted=false
stop() {
  preempted=true
  kill -TERM "$processes" # srun forwards it to every process
}
trap stop TERM
srun --kill-on-bad-exit=1 "$python" -m "experiments.$name" "${flags[@]}" &
processes=$!
status=0
wait "$processes" || status=$?
if $preempted; then
  trap '' TERM
  wait "$processes" || true
  scontrol requeue "$SLURM_JOB_ID"
else
  exit "$status"
fi
