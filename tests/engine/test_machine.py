import pytest
import torch
from mmengine.config import Config

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
    return monkeypatch


def test_launched_without_a_gpu_sync_bn_becomes_bn_and_is_announced(machine) -> None:
    told = []
    machine.setattr('clsa_mm.engine.machine.print_log', lambda text, logger: told.append(text))
    cfg = config('pytorch')
    adapt_to_machine(cfg)
    assert cfg.model.backbone.norm_cfg == dict(type='BN', requires_grad=True)
    assert [head.get('norm_cfg', head).type for head in cfg.model.heads] == ['BN', 'BN']
    assert len(told) == 1 and 'SyncBN becomes BN in 2 place(s)' in told[0]
    assert cfg.env_cfg.dist_cfg.backend == 'gloo' and not cfg.train_dataloader.pin_memory


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
