#!/usr/bin/env bash
# tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
# Several nodes: set NNODES, NODE_RANK and MASTER_ADDR (and PORT) on each of them.
set -euo pipefail
usage="usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]"
CONFIG=${1:?$usage}
CHECKPOINT=${2:?$usage}
GPUS=${3:?$usage}
exec "$(dirname "${BASH_SOURCE[0]}")/dist_launch.sh" test.py "$GPUS" "$CONFIG" "$CHECKPOINT" "${@:4}"
