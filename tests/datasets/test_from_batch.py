"""A loader that starts within its pass, against slices of whole passes."""

import pytest
from mmengine.dataset import DefaultSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset

from clsa_mm.datasets.from_batch import start_at


class Images(Dataset):
    """Numbers that note which of them were read, wide ones and high ones."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return 23

    def get_data_info(self, index: int) -> dict:
        return dict(width=1 + index % 3, height=2)

    def __getitem__(self, index: int) -> int:
        self.read.append(index)
        return index


def by_shape(sampler: DefaultSampler) -> BatchSampler:
    """mmdet's, which keeps images of the other shape until they fill a batch."""
    batch_sampler = pytest.importorskip('mmdet.datasets').AspectRatioBatchSampler
    return batch_sampler(sampler, batch_size=4)


def in_order(sampler: DefaultSampler) -> BatchSampler:
    return BatchSampler(sampler, 4, drop_last=False)


@pytest.mark.parametrize('make', [in_order, by_shape])
@pytest.mark.parametrize('first', [0, 2, 6])
def test_one_pass_from_a_batch_on_and_then_whole_ones(make, first: int) -> None:
    images = Images()
    sampler = DefaultSampler(images, seed=1)
    loader = DataLoader(images, batch_sampler=make(sampler))
    passes = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        passes.append([batch.tolist() for batch in loader])
    assert len(passes[0]) == 6 and passes[0] != passes[1]
    images.read.clear()
    start_at(loader, first)
    sampler.set_epoch(1)
    assert [batch.tolist() for batch in loader] == passes[1][first:]
    assert images.read == sum(passes[1][first:], [])  # nothing is read for those before
    sampler.set_epoch(2)
    assert [batch.tolist() for batch in loader] == passes[2]
    assert len(loader) == 6 and loader.batch_sampler.sampler is sampler
    assert loader.batch_sampler.batch_size == 4


@pytest.mark.parametrize('persistent', [False, True])
def test_with_workers(persistent: bool) -> None:
    images = Images()
    sampler = DefaultSampler(images, seed=1)
    settings = dict(batch_size=4, num_workers=2, persistent_workers=persistent)
    whole = [batch.tolist() for batch in DataLoader(images, sampler=sampler, batch_size=4)]
    loader = DataLoader(images, sampler=sampler, **settings)
    start_at(loader, 4)
    assert [[batch.tolist() for batch in loader] for _ in range(2)] == [whole[4:], whole]
