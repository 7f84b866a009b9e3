#!/usr/bin/env bash
# Compiles mmcv's operations into an environment that install.sh has made: ops.sh [VENV].
# Does nothing where they are there. Pretraining and evaluation need none; detection runs without them
# too, with NMS and RoIAlign by torchvision.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PY=${1:-.venv}/bin/python
LOCK=requirements/lock.txt

say() { echo "[ops] $*"; }
fail() { echo "[ops] error: $*" >&2; exit 1; }

has_ops() { "$PY" -c 'import torch, mmcv._ext' 2>/dev/null; }

if has_ops; then
    say "mmcv's operations are compiled already"
    exit
fi
mmcv=$(grep '^onedl-mmcv==' "$LOCK")
command -v c++ >/dev/null || fail "no C++ compiler found; on Debian or Ubuntu: apt-get install g++"
say "compiling the operations of $mmcv (about 15 minutes on 2 idle cores; for GPUs too where torch sees one" \
    "and nvcc is there)"
start=$SECONDS
quiet=--quiet
[[ ! -t 1 ]] || quiet=""
"$PY" -m pip install --quiet --disable-pip-version-check --constraint "$LOCK" setuptools ninja psutil
# Not isolated, to see torch; from source, as pip keeps the wheel without operations of the first install.
PATH=$(cd "$(dirname "$PY")" && pwd):$PATH MMCV_WITH_OPS=1 "$PY" -m pip install $quiet --disable-pip-version-check \
    --no-cache-dir --no-build-isolation --force-reinstall --no-deps "$mmcv"
has_ops || fail "the build has finished, but mmcv._ext does not import: $("$PY" -c 'import torch, mmcv._ext' 2>&1 | tail -1)"
say "done in $((SECONDS - start)) s"
