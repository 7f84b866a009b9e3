#!/usr/bin/env bash
# [GPUS=8 GPUS_PER_NODE=8 CPUS_PER_TASK=8 GRACE=120 SBATCH_ARGS="--time=1-0"] \
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
# Submits a batch job with its log in WORK_DIR. GRACE seconds before its time limit, or when Slurm preempts it, the
# run saves, and the job is queued again and goes on. GPUS_PER_NODE=0: GPUS processes on one node, without GPUs.
set -euo pipefail
usage="usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]"

# In the job: argument 1 is the root of the checkout, the others are those of tools/train.py.
if [ -n "${CLSA_MM_BATCH_JOB:-}" ]; then
  root=$1
  saved=75 # see docs/interruptions.md
  # A signal to the whole job is for the processes of the run, whose end this script awaits.
  trap : TERM USR1
  resume=()
  [ "${SLURM_RESTART_COUNT:-0}" -eq 0 ] || resume=(--resume)
  export MASTER_PORT=${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 20000))}
  PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" srun --kill-on-bad-exit=1 \
    "$PYTHON" -u "$root/tools/train.py" "${@:2}" "${resume[@]}" --launcher slurm &
  status=0
  wait $! || status=$?
  while kill -0 $! 2>/dev/null; do
    status=0
    wait $! || status=$?
  done
  echo "slurm_train.sh: job $SLURM_JOB_ID, start $((${SLURM_RESTART_COUNT:-0} + 1)), ended with status $status"
  [ "$status" -ne "$saved" ] || scontrol requeue "$SLURM_JOB_ID"
  exit "$status"
fi

PARTITION=${1:?$usage}
JOB_NAME=${2:?$usage}
CONFIG=${3:?$usage}
WORK_DIR=${4:?$usage}
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-$([ -x "$root/.venv/bin/python" ] && echo "$root/.venv/bin/python" || echo python)}
export PYTHON CLSA_MM_BATCH_JOB=1
placement=(--nodes=1)
[ "$GPUS_PER_NODE" -eq 0 ] || placement=(--gres="gpu:$GPUS_PER_NODE" --ntasks-per-node="$GPUS_PER_NODE")
mkdir -p "$WORK_DIR"

# SBATCH_ARGS holds several words on purpose.
# shellcheck disable=SC2086
exec sbatch --partition="$PARTITION" \
  --job-name="$JOB_NAME" \
  --ntasks="$GPUS" \
  "${placement[@]}" \
  --cpus-per-task="${CPUS_PER_TASK:-8}" \
  --requeue \
  --open-mode=append \
  --output="$WORK_DIR/slurm-%j.log" \
  --signal="USR1@${GRACE:-120}" \
  ${SBATCH_ARGS:-} \
  "${BASH_SOURCE[0]}" "$root" "$CONFIG" --work-dir "$WORK_DIR" "${@:5}"
