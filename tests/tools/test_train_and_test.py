"""The command-line tools as users call them: real configs, small pictures."""

import json
import os
import re
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from child_process import run_tool
from mmengine.config import Config

from clsa_mm.checkpoints.backbone import read_checkpoint

ROOT = Path(__file__).parents[2]
CLSA = 'configs/cifar10/clsa_r18_1xb256_200e_cifar10.py'
LINEAR = 'configs/benchmarks/classification/linear_r18_1xb256_100e_cifar10.py'
NARROW = ['model.backbone.base_channels=8', 'model.backbone.stem_channels=8']


def call(*command: object, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


def pretraining_options(image_root: Path, epochs: int) -> list[str]:
    return [
        *NARROW,
        'model.neck.in_channels=64',
        'model.neck.hid_channels=32',
        'model.queue_len=24',
        f'train_dataloader.dataset.data_root={image_root}',
        'train_dataloader.batch_size=8',
        'train_dataloader.num_workers=0',
        f'train_cfg.max_epochs={epochs}',
        'default_hooks.knn=None',
    ]


def linear_options(image_root: Path) -> list[str]:
    options = [*NARROW, 'model.head.in_channels=64', 'train_cfg.max_epochs=1']
    options += [f'train_dataloader.dataset.data_root={image_root}']
    for split in ('train', 'val', 'test'):
        options += [f'{split}_dataloader.num_workers=0', f'{split}_dataloader.batch_size=16']
    return options


def test_pretrain_resume_and_evaluate(image_root, tmp_path):
    """tools/train.py, --resume, --backbone and tools/test.py, one after the other."""
    pretrain, linear = tmp_path / 'pretrain', tmp_path / 'linear'
    for epochs in (1, 2):
        done = run_tool('tools/train.py', CLSA, '--work-dir', pretrain, '--resume',
                    '--cfg-options', *pretraining_options(image_root, epochs))  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    checkpoint = pretrain / 'epoch_2.pth'
    assert read_checkpoint(checkpoint)['state_dict']['queue.num_enqueued'] == 2 * 6 * 8
    assert 'resumed epoch: 1, iter: 6' in done.stdout + done.stderr

    done = run_tool('tools/train.py', LINEAR, '--work-dir', linear, '--backbone', checkpoint,
                '--cfg-options', *linear_options(image_root))  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    log = done.stdout + done.stderr
    matched, total = re.search(r'(\d+)/(\d+) keys', log).groups()
    assert matched == total != '0'
    logged = float(re.search(r'accuracy/top1: ([\d.]+)', log).group(1))

    out = tmp_path / 'metrics.json'
    done = run_tool('tools/test.py', LINEAR, linear / 'epoch_1.pth', '--out', out,
                '--work-dir', tmp_path / 'test', '--cfg-options', *linear_options(image_root))  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(out.read_text())['accuracy/top1'] == pytest.approx(logged, abs=1e-3)


def test_two_processes_by_dist_train(image_root, tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    done = call('tools/dist_train.sh', CLSA, 2, '--work-dir', tmp_path,
                '--auto-scale-lr', '--cfg-options', *pretraining_options(image_root, 1),
                'optim_wrapper.accumulative_counts=3',
                PORT=port, PYTHON=sys.executable)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    log = done.stdout + done.stderr
    assert '48 images per optimizer step = 8 per process x 2 process(es) x 3 accumulated' in log
    # 0.06 * 48 / 256
    assert 'Learning rate: 0.01125, scaled by auto_scale_lr from the 0.06 of the config' in log
    state = read_checkpoint(tmp_path / 'epoch_1.pth')['state_dict']
    assert state['queue.num_enqueued'] == 48


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([CLSA, '--amp'], r'--amp: there is no GPU here.*leave it out'),
        ([CLSA, '--cfg-options', 'max_epochs=1'], r'nothing reads it. Did you mean train_cfg.max_epochs'),
        ([CLSA, '--backbone', 'x.pth'], r'--backbone: .*no PretrainedBackboneHook.*configs/benchmarks/'),
    ],
)
def test_train_errors(arguments, message):
    done = run_tool('tools/train.py', *arguments, CUDA_VISIBLE_DEVICES='')
    assert done.returncode == 1
    assert re.search(message, done.stderr, re.S)


def make_config(monkeypatch, *arguments):
    """The config that tools/train.py would run, made in this process."""
    monkeypatch.setattr(sys, 'argv', ['train.py', *map(str, arguments)])
    tool = runpy.run_path(str(ROOT / 'tools/train.py'))
    return tool['make_config'](tool['parse_args']())


def test_options_have_the_last_word(monkeypatch, tmp_path):
    cfg = make_config(monkeypatch, ROOT / CLSA, '--work-dir', 'given', '--resume', 'a.pth', '--channels-last',
                      '--cfg-options', 'load_from=b.pth', 'model.channels_last=False')  # fmt: skip
    assert (cfg.work_dir, cfg.resume, cfg.load_from, cfg.model.channels_last) == (
        'given',
        True,
        'b.pth',
        False,
    )
    cfg = make_config(monkeypatch, ROOT / LINEAR, '--backbone', 'c.pth', '--no-validate')
    assert cfg.default_hooks.pretrained_backbone.checkpoint == 'c.pth'
    assert cfg.val_dataloader is cfg.val_cfg is cfg.val_evaluator is None
    assert cfg.work_dir == f'work_dirs/benchmarks/classification/{Path(LINEAR).stem}'


@pytest.mark.parametrize('config', [CLSA, 'configs/mmselfsup/baselines/mocov2_r50_8xb32_200e.py'])
def test_force_reaches_the_check_of_a_resume(monkeypatch, config):
    assert 'force' not in make_config(monkeypatch, ROOT / config).default_hooks.resume_check
    assert make_config(monkeypatch, ROOT / config, '--force').default_hooks.resume_check.force


def test_no_training_writes_over_checkpoints(tmp_path):
    """Of another config or of its own, but where it goes on from them."""
    tool = runpy.run_path(str(ROOT / 'tools/train.py'))
    cfg = Config(dict(work_dir=str(tmp_path / 'work')))
    tool['take_work_dir'](cfg, 'a/own.py')
    tool['take_work_dir'](cfg, 'b/own.py')  # no checkpoint yet
    (tmp_path / 'work' / 'epoch_1.pth').touch()
    remedies = 'add --resume to go on.*, give another --work-dir, or remove that folder'
    for own in ('a/own.py', 'b/own.py'):
        with pytest.raises(SystemExit, match=f'checkpoints of .*b/own.py, and .*{own} would.*{remedies}'):
            tool['take_work_dir'](cfg, own)
    cfg.resume = True
    tool['take_work_dir'](cfg, 'b/own.py')
    tool['take_work_dir'](cfg, 'a/own.py')


def test_no_training_writes_over_checkpoints_in_an_out_dir(tmp_path):
    """The hook writes to a folder of the work dir's last name there."""
    tool = runpy.run_path(str(ROOT / 'tools/train.py'))
    hook = dict(type='AtomicCheckpointHook', out_dir=str(tmp_path / 'out'))
    cfg = Config(dict(work_dir=str(tmp_path / 'work'), default_hooks=dict(checkpoint=hook)))
    (tmp_path / 'out' / 'other').mkdir(parents=True)
    (tmp_path / 'out' / 'other' / 'epoch_1.pth').touch()
    tool['take_work_dir'](cfg, 'own.py')  # those of another run only
    (tmp_path / 'out' / 'work').mkdir()
    (tmp_path / 'out' / 'work' / 'epoch_1.pth').touch()
    with pytest.raises(SystemExit, match=r'out/work has checkpoints.*add --resume.*of another last name'):
        tool['take_work_dir'](cfg, 'own.py')
    cfg.resume = True
    tool['take_work_dir'](cfg, 'own.py')


def test_a_second_start_is_refused_and_loses_nothing(image_root, tmp_path):
    arguments = ['tools/train.py', CLSA, '--work-dir', tmp_path / 'work',
                 '--cfg-options', *pretraining_options(image_root, 1)]  # fmt: skip
    assert run_tool(*arguments).returncode == 0
    before = (tmp_path / 'work' / 'epoch_1.pth').read_bytes()
    done = run_tool(*arguments)
    assert done.returncode == 1 and 'would overwrite them: add --resume' in done.stderr
    assert (tmp_path / 'work' / 'epoch_1.pth').read_bytes() == before


def test_auto_scale_lr_knows_the_batch_of_a_step(monkeypatch, tmp_path):
    byol = ROOT / 'configs/mmselfsup/baselines/byol_r50_8xb32_200e.py'
    cfg = make_config(monkeypatch, byol, '--auto-scale-lr')
    # 4096 images of 16 accumulated iterations; mmengine counts those of one.
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=256)
    own = tmp_path / 'own.py'
    own.write_text(f"_base_ = '{ROOT / CLSA}'\nauto_scale_lr = dict(_delete_=True)\n")
    with pytest.raises(SystemExit, match='--auto-scale-lr: .*own.py does not say.*base_batch_size=256'):
        make_config(monkeypatch, own, '--auto-scale-lr')


def test_a_pretraining_config_cannot_be_tested():
    done = run_tool('tools/test.py', CLSA, 'x.pth')
    assert done.returncode == 1
    assert 'has no test set' in done.stderr and 'tools/knn.py' in done.stderr


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_scripts_say_how_to_use_them(script):
    done = call(f'tools/{script}')
    assert done.returncode != 0
    assert f'usage: tools/{script}' in done.stderr


def stand_in(folder: Path, name: str, script: str) -> None:
    """A command of Slurm's."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/bin/sh\n{script}\n')
    (folder / name).chmod(0o755)


def test_slurm_asks_for_what_it_is_given(tmp_path):
    """A stand-in sbatch prints its arguments."""
    stand_in(tmp_path, 'sbatch', 'echo "$@"')
    out = tmp_path / 'out'
    done = call('tools/slurm_train.sh', 'gpu', 'job', CLSA, out, '--amp',
                PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='16', GPUS_PER_NODE='8', GRACE='90',
                CPUS_PER_TASK='5', SBATCH_ARGS='--time=1 --exclusive')  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    for expected in ('--partition=gpu', '--job-name=job', '--gres=gpu:8', '--ntasks=16',
                     '--ntasks-per-node=8', '--cpus-per-task=5', '--time=1', '--exclusive', '--requeue',
                     '--signal=USR1@90', '--open-mode=append', f'--output={out}/slurm-%j.log'):  # fmt: skip
        assert expected in words
    assert words[-6:] == ['tools/slurm_train.sh', str(ROOT), CLSA, '--work-dir', str(out), '--amp']
    assert out.is_dir()  # Slurm makes no folder for the log


@pytest.mark.parametrize(
    ('status', 'restarts', 'resumes', 'requeues'),
    [(0, 0, False, False), (75, 0, False, True), (75, 2, True, True), (1, 1, True, False)],
)
def test_a_slurm_job_that_has_saved_is_queued_again(tmp_path, status, restarts, resumes, requeues):
    """Its batch script, with stand-ins of srun, which ends with a status, and of scontrol."""
    stand_in(tmp_path, 'srun', f'echo "srun $@"; exit {status}')
    stand_in(tmp_path, 'scontrol', 'echo "scontrol $@"')
    done = call('tools/slurm_train.sh', ROOT, CLSA, '--work-dir', 'out',
                PATH=f'{tmp_path}:{os.environ["PATH"]}', CLSA_MM_BATCH_JOB='1', SLURM_JOB_ID='123',
                SLURM_RESTART_COUNT=str(restarts), PYTHON='python')  # fmt: skip
    assert done.returncode == status
    command = f'srun --kill-on-bad-exit=1 python -u {ROOT}/tools/train.py {CLSA} --work-dir out'
    assert f'{command}{" --resume" if resumes else ""} --launcher slurm\n' in done.stdout
    assert ('scontrol requeue 123\n' in done.stdout) is requeues
