#!/usr/bin/env bash
# tests/slurm/run.sh [FOLDER]: tools/slurm_train.sh under Debian's Slurm on this machine, without a GPU.
# Starts munged, slurmctld and slurmd with a configuration of their own in FOLDER (a new one; a temporary one if not
# given), submits two processes, sends the signal of a time limit, sees the job queued again and go on to its end,
# and compares that bit for bit with a job that was left alone. As root; apt-get install slurm-wlm brings all.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PYTHON=${PYTHON:-$root/.venv/bin/python} PYTHONPATH="$root:$root/tests" OMP_NUM_THREADS=1

for command in munged slurmctld slurmd sbatch; do
  command -v "$command" >/dev/null || {
    echo "$command is not installed: apt-get install slurm-wlm" >&2
    exit 1
  }
done
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"/{state,spool,work}
folder=$(cd "$folder" && pwd)
export SLURM_CONF=$folder/slurm.conf
daemons=()
trap 'kill "${daemons[@]}" 2>/dev/null || true' EXIT

dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 status=none
chmod 400 "$folder/munge.key"
node=$(hostname -s)
cat >"$SLURM_CONF" <<CONF
ClusterName=clsa-mm-test
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job that is queued again waits for this, 120 seconds by default.
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=test Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
echo "CgroupAutomount=no" >"$folder/cgroup.conf"

munged --foreground --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
  --pid-file="$folder/munge.pid" --log-file="$folder/munge.log" --seed-file="$folder/munge.seed" >"$folder/munged.out" 2>&1 &
daemons+=($!)
until [ -S "$folder/munge.socket" ]; do sleep 0.1; done
slurmctld -D -c -f "$SLURM_CONF" >"$folder/slurmctld.out" 2>&1 &
daemons+=($!)
slurmd -D -N "$node" -f "$SLURM_CONF" >"$folder/slurmd.out" 2>&1 &
daemons+=($!)
for _ in $(seq 60); do
  sinfo --noheader --format=%t 2>/dev/null | grep -q idle && break
  sleep 1
done
sinfo

"$PYTHON" -c "from pathlib import Path; from random_kills import write_images; write_images(Path('$folder/images'), 48)"

# submit NAME EPOCHS: the number of the job.
submit() {
  GPUS=2 GPUS_PER_NODE=0 CPUS_PER_TASK=1 GRACE=60 SBATCH_ARGS="--overcommit --time=30" \
    "$root/tools/slurm_train.sh" test "$1" "$root/configs/cifar10/clsa_r18_1xb256_200e_cifar10.py" \
    "$folder/work/$1" --cfg-options model.backbone.base_channels=8 model.backbone.stem_channels=8 \
    model.neck.in_channels=64 model.neck.hid_channels=32 model.queue_len=24 default_hooks.knn=None \
    "train_dataloader.dataset.data_root=$folder/images" train_dataloader.dataset.data_prefix= \
    train_dataloader.batch_size=4 train_dataloader.num_workers=1 optim_wrapper.accumulative_counts=4 \
    train_cfg.max_epochs=20 | grep -o '[0-9]*$'
}

# state JOB: what Slurm says of it.
state() { scontrol --oneliner show job "$1" | grep -o 'JobState=[A-Z]*\|Restarts=[0-9]*' | tr '\n' ' '; }

# await JOB PATTERN SECONDS: until the state of the job is like that.
await() {
  for _ in $(seq "$3"); do
    [[ $(state "$1") =~ $2 ]] && return
    sleep 1
  done
  echo "job $1 is not $2 after $3 s: $(state "$1")" >&2
  exit 1
}

straight=$(submit straight)
await "$straight" 'COMPLETED|FAILED' 400
echo "job $straight, left alone: $(state "$straight")"
job=$(submit requeued)
until [ -e "$folder/work/requeued/epoch_3.pth" ]; do
  [[ $(state "$job") =~ FAILED ]] && break
  sleep 0.2
done
echo "job $job runs: $(state "$job"); scancel --signal=USR1, as --signal does before the time limit"
scancel --signal=USR1 "$job"
await "$job" 'Restarts=1|FAILED' 120
echo "job $job is queued again: $(state "$job")"
await "$job" 'COMPLETED|FAILED' 400
echo "job $job at its end: $(state "$job")"
grep 'saved after\|slurm_train.sh:\|resumed epoch\|Goes on' "$folder/work/requeued/slurm-$job.log"
"$PYTHON" - <<PY
from bitwise import difference, run_state

ends = [run_state(f'$folder/work/{name}/epoch_20.pth') for name in ('straight', 'requeued')]
found = difference(*ends)
print(found or 'The end of the requeued job is bit for bit that of the one left alone.')
raise SystemExit(found is not None)
PY
