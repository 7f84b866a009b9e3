"""SeededMultiView: reproducible views, against mmpretrain's MultiView."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import default_collate
from mmengine.registry import TRANSFORMS
from mmpretrain.datasets.transforms import MultiView
from mmpretrain.registry import TRANSFORMS as MMPRETRAIN
from PIL import Image
from torch.utils.data import DataLoader

from clsa_mm.datasets import ImageFolder, SeededIndex, SeededSampler
from clsa_mm.datasets.transforms import SeededMultiView

SIZE = 10
WEAK = [
    dict(type='RandomResizedCrop', scale=16),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    dict(type='RandomFlip', prob=0.5),
]
STRONG = [dict(type='RandomResizedCrop', scale=12), dict(type='StrongAugment')]
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


class Draw(BaseTransform):
    """Replace the image by one number of each global generator."""

    def transform(self, results: dict) -> dict:
        results['img'] = np.array([random.random(), np.random.rand(), torch.rand(()).item()])
        return results


class Deface(BaseTransform):
    """Write into the array, as RandomErasing does."""

    def transform(self, results: dict) -> dict:
        assert results['img'].max() > 0
        results['img'][:] = 0
        return results


def seeded(seed: int = 1, epoch: int = 2, index: int = 3) -> dict:
    return {'img': IMAGE.copy(), 'sample_idx': SeededIndex(index, (seed, epoch, index))}


def rng_states() -> tuple:
    numpy_state = np.random.get_state()
    return (random.getstate(), numpy_state[1].tolist(), numpy_state[2:], torch.get_rng_state())


def assert_same_states(before: tuple, after: tuple) -> None:
    assert before[:3] == after[:3]
    assert torch.equal(before[3], after[3])


def test_registered_in_the_root_registry() -> None:
    view = TRANSFORMS.build(dict(type='SeededMultiView', num_views=2, transforms=[WEAK]))
    assert [v.shape for v in view(seeded())['img']] == [(16, 16, 3)] * 2


def test_order_of_views() -> None:
    transform = SeededMultiView([WEAK, WEAK, STRONG], [1, 2, 2])
    views = transform(seeded())['img']
    assert [v.shape[0] for v in views] == [16, 16, 16, 12, 12]
    assert all(not np.array_equal(a, b) for a, b in zip(views[:2], views[1:3], strict=True))
    assert '2 x' in repr(transform)


@pytest.mark.parametrize('key', [True, False])
def test_equals_multi_view_under_the_same_seeds(key: bool) -> None:
    built = [[MMPRETRAIN.build(t) for t in pipeline] for pipeline in (WEAK, STRONG)]
    ours = SeededMultiView([WEAK, STRONG, [Draw()]], [2, 2, 1])
    theirs = MultiView([*built, [Draw()]], [2, 2, 1])
    if not key:  # no key: the generators are used as they are
        for seeding in (random.seed, np.random.seed, torch.manual_seed):
            seeding(0)
        state = random.getstate(), np.random.get_state(), torch.get_rng_state()
        views = ours({'img': IMAGE.copy(), 'sample_idx': 3})['img']
        random.setstate(state[0]), np.random.set_state(state[1]), torch.set_rng_state(state[2])
        expected = theirs({'img': IMAGE.copy(), 'sample_idx': 3})['img']
    else:
        views = ours(seeded())['img']
        expected = []
        for v in range(5):  # seed by hand, keep view v of the five that MultiView makes
            single = theirs.transforms[v]
            words = [int(w) for w in np.random.SeedSequence((1, 2, 3, v)).generate_state(6)]
            random.seed(words[0] * 2**32 + words[1])
            np.random.seed(words[2:4])
            torch.manual_seed(words[4] * 2**32 + words[5])
            expected += MultiView([[single]], 1)({'img': IMAGE.copy()})['img']
    assert len(views) == len(expected) == 5
    for view, reference in zip(views, expected, strict=True):
        np.testing.assert_array_equal(view, reference)


def test_every_part_of_the_key_and_every_generator_counts() -> None:
    transform = SeededMultiView([[Draw()]], 2)
    keys = [(1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (2, 1, 3)]
    draws = np.concatenate([transform(seeded(*key))['img'] for key in keys])
    assert draws.shape == (10, 3)
    assert all(len(set(column)) == 10 for column in draws.T)
    np.testing.assert_array_equal(draws[:2], transform(seeded(1, 2, 3))['img'])


def test_generators_are_put_back() -> None:
    before = rng_states()
    SeededMultiView([[Draw()], WEAK], [2, 1])(seeded())
    assert_same_states(before, rng_states())


def test_generators_are_put_back_after_an_error() -> None:
    def fail(results: dict) -> dict:
        raise KeyError('a bug')

    before = rng_states()
    with pytest.raises(KeyError, match='a bug'):
        SeededMultiView([[Draw(), fail]], 1)(seeded())
    assert_same_states(before, rng_states())


def test_views_do_not_share_pixels_or_keys() -> None:
    results = seeded()
    image = results['img']
    seen = []

    def record(view: dict) -> dict:
        seen.append(sorted(view))
        view['extra'] = 1
        return view

    SeededMultiView([[record, Deface()]], 3)(results)
    np.testing.assert_array_equal(image, IMAGE)
    assert seen == [['img', 'sample_idx']] * 3 and 'extra' not in results


def test_bad_numbers_of_views() -> None:
    with pytest.raises(ValueError, match='2 numbers for 1 pipelines'):
        SeededMultiView([WEAK], [1, 1])
    with pytest.raises(ValueError, match='not all 0'):
        SeededMultiView([WEAK], 0)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of noise with a broken file in it."""
    root = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(1)
    for i in range(SIZE):
        pixels = rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f'{i}.png')
    (root / '4.png').write_bytes((root / '4.png').read_bytes()[:100])
    return root


def make_folder(root: Path) -> ImageFolder:
    multi_view = dict(type='SeededMultiView', num_views=[2, 1], transforms=[WEAK, STRONG])
    return ImageFolder(str(root), pipeline=[dict(type='LoadImage'), multi_view, dict(type='PackInputs')])


def run_epochs(
    dataset: ImageFolder,
    seed: int = 0,
    first_epoch: int = 0,
    batch_size: int = 3,
    **options: object,
) -> dict[tuple[int, int, str], list[np.ndarray]]:
    """Views by epoch, index and file name, of the epochs up to the second."""
    sampler = SeededSampler(dataset, seed=seed)
    loader = DataLoader(
        dataset, batch_size=batch_size, sampler=sampler, collate_fn=default_collate, **options
    )
    views = {}
    for epoch in range(first_epoch, 2):
        sampler.set_epoch(epoch)
        for batch in loader:
            for i, sample in enumerate(batch['data_samples']):
                key = sample.sample_idx.seed_key
                assert key[:2] == (seed, epoch)
                views[epoch, key[2], Path(sample.img_path).name] = [
                    view[i].numpy() for view in batch['inputs']
                ]
    return views


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(*pair) for key in a for pair in zip(a[key], b[key], strict=True)
    )


@pytest.fixture(scope='module')
def reference(folder: Path) -> dict:
    return run_epochs(make_folder(folder))


@pytest.mark.parametrize(
    ('workers', 'context', 'persistent'),
    [(1, 'fork', False), (2, 'fork', True)],
)
def test_views_do_not_depend_on_workers(
    folder: Path, reference: dict, workers: int, context: str, persistent: bool
) -> None:
    dataset = make_folder(folder)
    views = run_epochs(
        dataset,
        num_workers=workers,
        multiprocessing_context=context,
        persistent_workers=persistent,
        batch_size=2,
    )
    assert len(views) == 2 * SIZE and same(views, reference)
    assert dataset.num_corrupt == 1


def test_views_depend_on_seed_epoch_and_index(folder: Path, reference: dict) -> None:
    other = run_epochs(make_folder(folder), seed=1)
    flat = [view.tobytes() for run in (reference, other) for v in run.values() for view in v]
    # 2 runs x 2 epochs x 10 indices x 3 views; index 4 shows the image of another index
    assert len(flat) == 120 and len(set(flat)) == 120


def test_resumed_run_continues_the_same(folder: Path, reference: dict) -> None:
    resumed = run_epochs(make_folder(folder), first_epoch=1, num_workers=1)
    assert same(resumed, {key: views for key, views in reference.items() if key[0] == 1})


def test_ranks_see_what_one_process_sees(
    folder: Path, reference: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = {}
    for rank in range(2):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 2))
        views |= run_epochs(make_folder(folder))
    assert same(views, reference)


def test_main_process_generators_are_not_disturbed(folder: Path) -> None:
    dataset = make_folder(folder)
    before = rng_states()
    for index in SeededSampler(dataset, seed=0):
        dataset[index]
    assert_same_states(before, rng_states())
