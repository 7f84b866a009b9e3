"""SeededSampler against mmengine's DefaultSampler."""

import pickle
from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest
import torch
from mmengine.dataset import (
    BaseDataset,
    ConcatDataset,
    DefaultSampler,
    RepeatDataset,
    default_collate,
)
from mmengine.registry import DATA_SAMPLERS
from mmpretrain.datasets.transforms import PackInputs
from mmpretrain.models import SelfSupDataPreprocessor
from torch.utils.data import BatchSampler, DataLoader, Dataset

from clsa_mm.datasets import SeededIndex, SeededSampler


class Numbers(BaseDataset):
    """Samples that only know their index."""

    def load_data_list(self) -> list[dict]:
        return [{'value': i} for i in range(9)]


def numbers(size: int) -> Numbers:
    return Numbers(indices=size)


def test_registered_in_the_root_registry() -> None:
    sampler = DATA_SAMPLERS.build(dict(type='SeededSampler', dataset=range(3), seed=0))
    assert isinstance(sampler, SeededSampler)


@pytest.mark.parametrize(
    'arguments', [{}, {'shuffle': False}, {'round_up': False}, {'seed': 5, 'round_up': False}]
)
@pytest.mark.parametrize('rank', [0, 2])
def test_same_order_as_default_sampler(monkeypatch: pytest.MonkeyPatch, arguments: dict, rank: int) -> None:
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (rank, 3))
    arguments = {'seed': 3, **arguments}
    ours, theirs = (cls(range(10), **arguments) for cls in (SeededSampler, DefaultSampler))
    for epoch in (0, 4):
        ours.set_epoch(epoch)
        theirs.set_epoch(epoch)
        indices = list(ours)
        assert indices == list(theirs) and len(ours) == len(theirs) == len(indices)
        assert [i.seed_key for i in indices] == [(arguments['seed'], epoch, i) for i in theirs]


def test_epoch_is_fixed_when_iteration_starts() -> None:
    sampler = SeededSampler(range(4), seed=1)
    iterator = iter(sampler)
    sampler.set_epoch(7)
    assert {index.seed_key[1] for index in iterator} == {0}
    assert {index.seed_key[1] for index in sampler} == {7}


def test_index_is_an_int_that_keeps_its_key() -> None:
    index = SeededIndex(7, (1, 2, 7))
    assert index == 7 and hash(index) == hash(7) and [*range(9)][index] == 7
    for moved, value in ((index - 3, 4), (index % 4, 3), (index + 1, 8), (1 + index, 8)):
        assert moved == value and moved.seed_key == (1, 2, 7)
    again = pickle.loads(pickle.dumps(index))
    assert again == 7 and again.seed_key == (1, 2, 7)


@pytest.mark.parametrize(
    ('make', 'values'),
    [
        (lambda: numbers(4), [0, 1, 2, 3]),
        (lambda: ConcatDataset([numbers(3), numbers(2)]), [0, 1, 2, 0, 1]),
        (lambda: RepeatDataset(numbers(2), times=3), [0, 1, 0, 1, 0, 1]),
    ],
)
def test_key_reaches_the_sample_through_wrappers(make: Callable[[], Dataset], values: list[int]) -> None:
    dataset = make()
    assert len(dataset) == len(values)
    for index in SeededSampler(dataset, seed=9):
        sample = dataset[index]
        assert sample['value'] == sample['sample_idx'] == values[index]
        assert sample['sample_idx'].seed_key == (9, 0, int(index))


@pytest.mark.parametrize('num_workers', [0, 1])
def test_index_passes_collate_and_preprocessor(num_workers: int) -> None:
    class Packed(Numbers):
        def prepare_data(self, idx: int) -> dict:
            views = [np.full((4, 4, 3), int(idx), np.uint8) for _ in range(2)]
            return PackInputs().transform({**self.get_data_info(idx), 'img': views})

    dataset = Packed(indices=4)
    loader = DataLoader(
        dataset,
        batch_size=2,
        sampler=SeededSampler(dataset, shuffle=False, seed=0),
        num_workers=num_workers,
        collate_fn=default_collate,
    )
    batches = [SelfSupDataPreprocessor(mean=[0] * 3, std=[1] * 3)(batch) for batch in loader]
    assert [s.sample_idx for b in batches for s in b['data_samples']] == [0, 1, 2, 3]
    for i, batch in enumerate(batches):
        expected = torch.tensor([2.0 * i, 2.0 * i + 1]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
        assert [torch.equal(view, expected) for view in batch['inputs']] == [True, True]


def test_a_bare_index_collates_to_a_tensor() -> None:
    loader = DataLoader(numbers(4), batch_size=4, sampler=SeededSampler(range(4), shuffle=False, seed=0))
    assert next(iter(loader))['sample_idx'].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize('images', [48, 53])
def test_every_number_of_ranks_has_the_same_batches(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """The batches of all ranks together hold the same images; what does not fill one is dropped."""

    def global_batches(ranks: int) -> list[list[int]]:
        parts = []
        for rank in range(ranks):
            monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, ranks))
            sampler = SeededSampler(range(images), seed=3)
            sampler.set_epoch(2)
            parts.append(list(BatchSampler(sampler, 8 // ranks, drop_last=True)))
        return [sorted(chain(*batch)) for batch in zip(*parts, strict=True)]

    order = torch.randperm(images, generator=torch.Generator().manual_seed(3 + 2)).tolist()
    expected = [sorted(order[8 * i : 8 * i + 8]) for i in range(images // 8)]
    for ranks in (1, 2, 4):
        assert global_batches(ranks)[: len(expected)] == expected
