import os
from datetime import timedelta

import pytest
import torch
from mmcv.cnn import build_norm_layer
from mmengine.config import Config
from mmengine.registry import MODELS

from clsa_mm.engine.machine import adapt_to_machine


def config(launcher: str) -> Config:
    norm = dict(type='SyncBN', requires_grad=True)
    return Config(
        dict(
            launcher=launcher,
            model=dict(backbone=dict(norm_cfg=norm), heads=[dict(norm_cfg=dict(norm)), dict(type='BN')]),
            env_cfg=dict(dist_cfg=dict(backend='nccl')),
            train_dataloader=dict(batch_size=2, pin_memory=True),
        )
    )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(MODELS, '_module_dict', dict(MODELS.module_dict))
    return monkeypatch


@pytest.mark.parametrize('norm_cfg', [{}, dict(norm_cfg=dict(type='SyncBN', requires_grad=True))])
def test_launched_without_a_gpu_sync_bn_becomes_bn_and_is_announced(machine, norm_cfg) -> None:
    """The neck of SimCLR has synchronised layers by default, and vectors as their input."""
    told = []
    machine.setattr('clsa_mm.engine.machine.print_log', lambda text, logger: told.append(text))
    cfg = config('pytorch')
    cfg.sync_bn = 'torch'
    settings = dict(in_channels=6, hid_channels=5, out_channels=4, num_layers=2, with_avg_pool=False)
    settings |= dict(type='mmpretrain.NonLinearNeck', **norm_cfg)
    before = MODELS.build(settings)
    assert any(isinstance(layer, torch.nn.SyncBatchNorm) for layer in before.modules())
    adapt_to_machine(cfg)
    neck = MODELS.build(settings)
    assert not any(isinstance(layer, torch.nn.SyncBatchNorm) for layer in neck.modules())
    neck.load_state_dict(before.state_dict())
    vectors = torch.randn(8, 6)
    hidden = torch.nn.functional.batch_norm(neck.fc0(vectors), None, None, training=True).relu()
    expected = torch.nn.functional.batch_norm(neck.fc1(hidden), None, None, training=True)
    torch.testing.assert_close(neck((vectors,))[0], expected)
    images = torch.randn(4, 6, 3, 3)
    expected = torch.nn.functional.batch_norm(images, None, None, training=True)
    torch.testing.assert_close(build_norm_layer(dict(type='SyncBN'), 6)[1](images), expected)
    assert len(told) == 1 and 'No GPU: SyncBN becomes BN' in told[0]
    assert cfg.env_cfg.dist_cfg.backend == 'gloo' and not cfg.train_dataloader.pin_memory
    assert 'sync_bn' not in cfg  # with it the runner would bring the synchronised layers back


def test_a_single_process_is_left_to_the_runner(machine) -> None:
    cfg = config('none')
    adapt_to_machine(cfg)
    assert cfg.model == config('none').model


def test_gpus_change_nothing(machine) -> None:
    machine.setattr(torch.cuda, 'is_available', lambda: True)
    for launcher in ('none', 'pytorch', 'slurm'):
        cfg = config(launcher)
        adapt_to_machine(cfg)
        assert cfg.to_dict() == config(launcher).to_dict()


def test_what_the_config_says_of_the_process_group_holds(machine) -> None:
    """mmengine, which starts it on GPUs, takes the timeout in seconds too."""
    started = []
    machine.setattr(torch.distributed, 'is_initialized', lambda: False)
    machine.setattr(torch.distributed, 'init_process_group', lambda **settings: started.append(settings))
    cfg = config('pytorch')
    cfg.env_cfg.dist_cfg.update(timeout=90, init_method='env://', init_backend='torch')
    adapt_to_machine(cfg)
    expected = dict(backend='gloo', timeout=timedelta(minutes=1, seconds=30), init_method='env://')
    assert started == [expected]
    assert cfg.env_cfg.dist_cfg.timeout == 90
    adapt_to_machine(config('pytorch'))
    assert started[1] == dict(backend='gloo')


def test_slurm_without_a_gpu(machine, tmp_path) -> None:
    """Names of nodes come from Slurm's own command, as there are patterns in them."""
    command = tmp_path / 'scontrol'
    command.write_text('#!/bin/sh\n[ "$*" = "show hostnames node[3-4]" ] && printf "node3\\nnode4\\n"\n')
    command.chmod(0o755)
    job = dict(NODELIST='node[3-4]', NTASKS='8', PROCID='5', LOCALID='1')
    for name, value in job.items():
        machine.setenv(f'SLURM_{name}', value)
    machine.setenv('PATH', f'{tmp_path}:/bin:/usr/bin')
    expected = dict(MASTER_ADDR='node3', MASTER_PORT='29500', WORLD_SIZE='8', RANK='5', LOCAL_RANK='1')
    for name in expected:
        machine.setenv(name, '')  # to be as it was afterwards
        machine.delenv(name)
    machine.setattr(torch.distributed, 'is_initialized', lambda: False)
    machine.setattr(torch.distributed, 'init_process_group', lambda backend: None)
    adapt_to_machine(config('slurm'))
    assert {name: os.environ[name] for name in expected} == expected


@pytest.mark.parametrize('backend', ['gloo', 'nccl'])
def test_processes_that_torchrun_restarts_meet_anew(machine, backend: str) -> None:
    """What is left in torchrun's store of the processes before them is not seen."""
    server = torch.distributed.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    server.set('address', 'of one that is gone')
    job = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=server.port, WORLD_SIZE=2, RANK=1, LOCAL_RANK=1)
    job |= dict(TORCHELASTIC_USE_AGENT_STORE=True, TORCHELASTIC_RESTART_COUNT=3)
    for name, value in job.items():
        machine.setenv(name, str(value))
    started, devices = [], []
    machine.setattr(torch.cuda, 'is_available', lambda: backend == 'nccl')
    machine.setattr(torch.cuda, 'set_device', devices.append)
    machine.setattr(torch.distributed, 'is_initialized', lambda: False)
    machine.setattr(torch.distributed, 'init_process_group', lambda **settings: started.append(settings))
    adapt_to_machine(config('pytorch'))
    (settings,) = started
    assert (settings['backend'], settings['rank'], settings['world_size']) == (backend, 1, 2)
    assert not settings['store'].check(['address'])
    settings['store'].set('address', 'mine')
    assert server.get('address') == b'of one that is gone'
    assert devices == ([1] if backend == 'nccl' else [])


def test_find_unused_parameters_reaches_the_wrapper(machine) -> None:
    cfg = config('pytorch')
    cfg.find_unused_parameters = True
    adapt_to_machine(cfg)
    assert cfg.model_wrapper_cfg.find_unused_parameters
    assert (cfg.model_wrapper_cfg.device_ids, cfg.model_wrapper_cfg.broadcast_buffers) == (None, False)


def test_a_wrapper_of_the_config_stays(machine) -> None:
    cfg = config('pytorch')
    cfg.model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel', static_graph=True)
    adapt_to_machine(cfg)
    assert cfg.model_wrapper_cfg == dict(
        type='MMSeparateDistributedDataParallel', static_graph=True, device_ids=None
    )
    cfg = config('pytorch')
    cfg.model_wrapper_cfg = dict(type='MMFullyShardedDataParallel')  # takes no device_ids
    adapt_to_machine(cfg)
    assert cfg.model_wrapper_cfg == dict(type='MMFullyShardedDataParallel')


def test_other_launchers_need_a_gpu(machine) -> None:
    with pytest.raises(RuntimeError, match='--launcher mpi needs one.*torchrun'):
        adapt_to_machine(config('mpi'))
