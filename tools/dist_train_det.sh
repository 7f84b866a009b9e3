#!/usr/bin/env bash
# tools/dist_train_det.sh CONFIG CHECKPOINT GPUS [arguments of tools/train.py]
# Fine-tune a detector from the backbone in CHECKPOINT: a pretraining's, an exported one, or the authors'.
# Several nodes: set NNODES, NODE_RANK and MASTER_ADDR (and PORT) on each of them.
set -euo pipefail
usage="usage: tools/dist_train_det.sh CONFIG CHECKPOINT GPUS [arguments of tools/train.py]"
CONFIG=${1:?$usage}
CHECKPOINT=${2:?$usage}
GPUS=${3:?$usage}
exec "$(dirname "${BASH_SOURCE[0]}")/dist_launch.sh" train.py "$GPUS" "$CONFIG" --backbone "$CHECKPOINT" "${@:4}"
