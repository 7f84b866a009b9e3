"""The model that compares the views of a batch, in one process and in two."""

import os
from pathlib import Path

import pytest
import reference_supcon as reference
import torch
from mmpretrain.structures import DataSample
from ranks import WORLD, run_ranks
from small_runs import Projection, Stem
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from clsa_mm.models import SupCon

PREPROCESSOR = dict(type='mmengine.BaseDataPreprocessor')
LABELS = [[0, 1, 0], [1, 1, 2]]  # of the images of each rank
EXACT = dict(rtol=0, atol=1e-9)


def build(seed: int = 0, **settings: object) -> SupCon:
    torch.manual_seed(seed)
    return SupCon(Stem(), Projection(), data_preprocessor=PREPROCESSOR, **settings).double()


def views_of(rank: int) -> dict[str, list[Tensor]]:
    """One key, two weak, one strong view of three images."""
    generator = torch.Generator().manual_seed(rank)
    numbers = dict(key=1, weak=2, strong=1)
    return {
        role: [torch.randn(3, 3, 9, 9, generator=generator, dtype=torch.float64) for _ in range(number)]
        for role, number in numbers.items()
    }


def samples_of(labels: list[int]) -> list[DataSample]:
    return [DataSample().set_gt_label(label) for label in labels]


def features_of(model: nn.Module, views: dict[str, list[Tensor]]) -> Tensor:
    """Modules called one after the other, all views as one batch."""
    images = torch.cat([*views['key'], *views['weak'], *views['strong']])
    features = model.neck(model.backbone(images))[0]
    return features / features.norm(dim=1, keepdim=True)


@pytest.mark.parametrize('supervised', [True, False])
def test_one_process(supervised):
    model = build(supervised=supervised, head=dict(type='SupConHead', temperature=0.2))
    losses = model.loss(views_of(0), samples_of(LABELS[0]) if supervised else None)
    labels = LABELS[0] if supervised else [0, 1, 2]
    features = features_of(model, views_of(0))
    expected = reference.supcon(features, 4 * labels, 0.2)
    torch.testing.assert_close(losses['loss_contrastive'], expected, **EXACT)
    assert losses['anchors_without_positives'] == 0
    spread = features.std(dim=0, correction=0).mean()
    torch.testing.assert_close(losses['feature_std'], spread.detach(), **EXACT)


def test_channels_last_gives_the_same_loss():
    plain, last = build(), build(channels_last=True)
    assert last.backbone.conv.weight.is_contiguous(memory_format=torch.channels_last)
    losses = [model.loss(views_of(0), samples_of(LABELS[0]))['loss_contrastive'] for model in (plain, last)]
    torch.testing.assert_close(*losses, **EXACT)


def test_max_margin_head():
    model = build(head=dict(type='MaxMarginHead', margin=1.5))
    loss = model.loss(views_of(0), samples_of(LABELS[0]))['loss_contrastive']
    expected = reference.max_margin(features_of(model, views_of(0)), 4 * LABELS[0], 1.5)
    torch.testing.assert_close(loss, expected, **EXACT)


def worker(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', rank=rank, world_size=WORLD)
    model = build()
    parallel = DistributedDataParallel(model)
    losses = parallel(views_of(rank), samples_of(LABELS[rank]), mode='loss')
    losses['loss_contrastive'].backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    torch.save(({name: value.detach() for name, value in losses.items()}, gradients), f'{folder}/{rank}')
    torch.distributed.barrier()  # neither leaves while the other still talks to it
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_loss_and_gradient_of_the_whole_batch(tmp_path: Path):
    run_ranks(worker, str(tmp_path))
    model = build()
    # BatchNorm sees the images of a rank.
    features = torch.cat([features_of(model, views_of(rank)) for rank in range(WORLD)])
    loss = reference.supcon(features, 4 * LABELS[0] + 4 * LABELS[1], 0.1)
    loss.backward()
    for rank in range(WORLD):
        losses, gradients = torch.load(tmp_path / str(rank))
        torch.testing.assert_close(losses['loss_contrastive'], loss.detach(), **EXACT)
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[name], parameter.grad, **EXACT)


def test_errors_name_cause_and_remedy():
    model, views = build(), views_of(0)
    with pytest.raises(ValueError, match=r'0 of 3 images have a label, .*dataset.labels=True, which takes'):
        model.loss(views, [DataSample() for _ in range(3)])
    with pytest.raises(ValueError, match='0 of 0 images have a label'):
        model.loss(views)
    with pytest.raises(
        ValueError, match=r'two or more views of one size, .*got 1 of the shapes \[\(3, 3, 9, 9\)'
    ):
        model.loss(dict(key=views['key']))
    with pytest.raises(
        ValueError, match=r'got 2 of the shapes .*\(3, 3, 8, 9\).*num_views and size in train_'
    ):
        model.loss(dict(key=views['key'], weak=[views['weak'][0][:, :, 1:]]))
    with pytest.raises(ValueError, match='by role, .*got 0 of the shapes'):
        model.loss(views['weak'])
