#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: dist_launch.sh SCRIPT GPUS ARGUMENTS...
# MAX_RESTARTS=3: start all processes anew so many times after one has failed, or was told to end and saved.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-$([ -x "$root/.venv/bin/python" ] && echo "$root/.venv/bin/python" || echo python)}

# torchrun passes on to its processes what it handles, and dies of other signals.
export PET_SIGNALS_TO_HANDLE=${PET_SIGNALS_TO_HANDLE:-SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1}

PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec "$PYTHON" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" \
  --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" \
  --master_port="${PORT:-29500}" \
  --nproc_per_node="$2" \
  --max_restarts="${MAX_RESTARTS:-0}" \
  "$root/tools/$1" "${@:3}" --launcher pytorch
