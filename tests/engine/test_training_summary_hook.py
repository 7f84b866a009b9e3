"""What is said at the start of a run, in real runs of the runner."""

import pytest
from mmengine.runner import Runner


def lines_of(cfg, monkeypatch) -> str:
    runner = Runner.from_cfg(cfg)
    lines = []
    monkeypatch.setattr(runner.logger, 'info', lambda line, *a, **k: lines.append(str(line)))
    runner.train()
    return '\n'.join(lines)


def test_batch_rate_and_speed(tiny_pretraining, monkeypatch):
    cfg = tiny_pretraining(
        **{'optim_wrapper.accumulative_counts': 2, 'train_cfg.max_epochs': 1, 'model.channels_last': True}
    )
    text = lines_of(cfg, monkeypatch)
    assert 'Effective batch: 16 images per optimizer step = 8 per process x 1 process(es) x 2' in text
    assert '48 images, 6 iterations per epoch and process' in text
    assert 'Learning rate: 0.06, as in the config, not scaled (meant for a batch of 256;' in text
    assert 'Precision: float32; channels-last on; torch.compile off; views per image: 1 key, 1 weak' in text


def test_scaled_rate(tiny_pretraining, monkeypatch):
    cfg = tiny_pretraining(**{'auto_scale_lr.enable': True, 'train_cfg.max_epochs': 1})
    text = lines_of(cfg, monkeypatch)
    assert 'Learning rate: 0.001875, scaled by auto_scale_lr from the 0.06 of the config' in text


def test_fewer_images_than_a_batch(tiny_pretraining):
    cfg = tiny_pretraining(**{'train_dataloader.batch_size': 49})
    with pytest.raises(ValueError, match='48 images.*do not fill a batch of 49.*batch_size'):
        Runner.from_cfg(cfg).train()


def test_custom_keys_that_match_no_parameter(tiny_pretraining, monkeypatch):
    keys = {'bakbone': dict(lr_mult=0.1), 'backbone': dict(lr_mult=0.1), 'layer1.0.conv1': dict(lr_mult=1)}
    options = {'optim_wrapper.paramwise_cfg': dict(custom_keys=keys), 'train_cfg.max_epochs': 1}
    runner = Runner.from_cfg(tiny_pretraining(**options))
    warnings = []
    monkeypatch.setattr(runner.logger, 'warning', lambda line, *a, **k: warnings.append(str(line)))
    runner.train()
    idle = [line for line in warnings if 'custom_keys' in line]
    assert len(idle) == 1
    assert "custom_keys.bakbone changes nothing: no parameter has 'bakbone' in its name" in idle[0]
    assert 'backbone' in idle[0].partition('There is')[2]
