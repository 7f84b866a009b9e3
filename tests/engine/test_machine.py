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
    machine.setattr(
        torch.distributed, 'init_process_group', lambda *args, **more: started.append((args, more))
    )
    cfg = config('pytorch')
    cfg.env_cfg.dist_cfg.update(timeout=90, init_method='env://', init_backend='torch')
    adapt_to_machine(cfg)
    assert started == [(('gloo',), dict(timeout=timedelta(minutes=1, seconds=30), init_method='env://'))]
    assert cfg.env_cfg.dist_cfg.timeout == 90
    adapt_to_machine(config('pytorch'))
    assert started[1] == (('gloo',), {})


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
    with pytest.raises(RuntimeError, match='--launcher slurm needs one.*torchrun'):
        adapt_to_machine(config('slurm'))
