#!/usr/bin/env bash
# tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# MAX_RESTARTS=9 with --resume: goes on by itself, nine times, after a process has died or was told to end.
# Several nodes: set NNODES, NODE_RANK and MASTER_ADDR (and PORT) on each of them.
set -euo pipefail
usage="usage: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]"
CONFIG=${1:?$usage}
GPUS=${2:?$usage}
exec "$(dirname "${BASH_SOURCE[0]}")/dist_launch.sh" train.py "$GPUS" "$CONFIG" "${@:3}"
