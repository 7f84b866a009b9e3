"""The vision transformer's config in a run: what trains, at which rates, and views of two sizes."""

import math
from collections.abc import Callable

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

VIT = 'backbones/clsa_vit-small_8xb32_200e.py'


class Record(Hook):
    """The backbone's weights at the start, the rates, and the sizes of what the blocks see."""

    def __init__(self) -> None:
        self.start: dict[str, Tensor] = {}
        self.rates: list[float] = []
        self.tokens: set[int] = set()

    def before_train(self, runner: Runner) -> None:
        backbone = runner.model.backbone
        self.start = {name: value.clone() for name, value in backbone.state_dict().items()}
        backbone.layers[0].register_forward_pre_hook(lambda m, args: self.tokens.add(args[0].shape[1]))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        self.rates.append(runner.optim_wrapper.param_groups[0]['lr'])


@pytest.mark.parametrize('frozen', [True, False])
def test_the_patch_projection_stays_as_it_is_if_wanted(frozen: bool, tiny_pretraining: Callable) -> None:
    options = {'model.backbone.stop_grad_conv1': frozen, 'train_cfg.max_epochs': 1}
    options |= {f'train_dataloader.dataset.views.{role}.size': 48 for role in ('key', 'weak')}
    runner = Runner.from_cfg(tiny_pretraining(VIT, **options))
    record = Record()
    runner.register_hook(record)
    runner.train()
    model = runner.model
    trained = model.backbone.state_dict()
    same = {name for name, value in record.start.items() if torch.equal(trained[name], value)}
    projection = {'patch_embed.projection.weight', 'patch_embed.projection.bias'}
    assert same == {'pos_embed'} | (projection if frozen else set())
    # Sines and cosines of 14 x 14 positions, the class token's embedding 0.
    embedding = model.backbone.pos_embed[0]
    assert embedding.shape == (197, 192) and not embedding[0].any()
    torch.testing.assert_close(embedding[1:].square().sum(dim=1), torch.full((196,), 96.0))
    assert record.tokens == {1 + 3 * 3, 1 + 2 * 2}  # views of 48 pixels, and of 24, which are filled up


def test_warm_up_and_cosine(tiny_pretraining: Callable) -> None:
    """An epoch of warm-up by iteration, then half a cosine to 0 over the other two; 6 iterations each."""
    ends = {'param_scheduler.0.end': 1, 'param_scheduler.1.begin': 1}
    runner = Runner.from_cfg(tiny_pretraining(VIT, **ends, **{'train_cfg.max_epochs': 3}))
    record = Record()
    runner.register_hook(record)
    runner.train()
    warm_up = [1e-4 + (1 - 1e-4) * i / 5 for i in range(6)]
    cosine = [(1 + math.cos(math.pi * i / 12)) / 2 for i in range(12)]
    assert record.rates == pytest.approx([1.5e-4 * factor for factor in warm_up + cosine], rel=1e-6)
