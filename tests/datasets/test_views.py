"""Views from a dictionary of settings: from the config to the batch."""

import pickle
import random
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import DATASETS, TRANSFORMS
from photos import photo
from PIL import Image
from torch.utils.data import DataLoader

from clsa_mm.datasets import ImageFolder, SeededIndex, SeededSampler
from clsa_mm.datasets.transforms import MakeViews, PackViews, SeededMultiView
from clsa_mm.datasets.views import RECIPES, STRONG_OPS, build_views

WEAK = dict(num_views=1, size=224, area=(0.2, 1.0), recipe=dict(type='mocov2'))
STRONG = dict(num_views=1, size=96, area=(0.086, 0.429), num_ops=5, prob=0.5, policy='paper', ops=dict())
SINGLE = dict(key=WEAK, weak=WEAK, strong=STRONG)
MULTI = dict(
    num_views=5,
    size=[224, 192, 160, 128, 96],
    area=[(0.2, 1.0), (0.172, 0.86), (0.143, 0.715), (0.114, 0.571), (0.086, 0.429)],
)
SMALL = dict(
    key=dict(size=16, area=(0.2, 1.0)),
    weak=dict(size=16, area=(0.2, 1.0), num_views=2),
    strong=dict(size=12, area=(0.1, 0.5), num_ops=5),
)
IMAGE = photo(75, 100, seed=0)


def sizes(views: dict) -> list[tuple[str, int]]:
    return [(view.role, view.size) for view in build_views(views)]


def make(views: dict, seed_key: tuple[int, int, int] = (1, 2, 3)) -> list[np.ndarray]:
    sample_idx = SeededIndex(seed_key[2], seed_key)
    return MakeViews(views)({'img': IMAGE, 'sample_idx': sample_idx})['img']


# The dictionary.


def test_clsa_single_and_moco() -> None:
    assert sizes(SINGLE) == [('key', 224), ('weak', 224), ('strong', 96)]
    assert sizes(dict(SINGLE, strong=dict(num_views=0))) == [('key', 224), ('weak', 224)]
    assert sizes(dict(SINGLE, strong=dict(MULTI, num_views=0))) == [('key', 224), ('weak', 224)]
    assert sizes(dict(key=WEAK, weak=WEAK)) == [('key', 224), ('weak', 224)]


def test_clsa_multi_has_a_size_and_an_area_per_view() -> None:
    views = build_views(dict(key=WEAK, weak=MULTI, strong=dict(MULTI, num_ops=5)))
    assert [view.size for view in views] == [224, *MULTI['size'], *MULTI['size']]
    assert [view.area for view in views[6:]] == MULTI['area']
    assert [view.strong.num_ops for view in views] == [0] * 6 + [5] * 5
    assert [view.shape for view in make(dict(key=WEAK, weak=MULTI))][1:] == [(s, s, 3) for s in MULTI['size']]


def test_one_line_of_an_inheriting_config_changes_one_setting(tmp_path: Path) -> None:
    (tmp_path / 'base.py').write_text(f'views = {SINGLE!r}')
    (tmp_path / 'cifar.py').write_text(
        "_base_ = ['base.py']\n"
        'small = dict(size=32, recipe=dict(blur_prob=0.0))\n'
        'views = dict(key=small, weak=small, strong=dict('
        'size=24, area=(0.1, 0.6), num_ops=3, replacement=False))'
    )
    cfg = Config.fromfile(tmp_path / 'cifar.py')
    cfg.merge_from_dict({'views.strong.prob': 0.25})
    key, weak, strong = build_views(cfg.views)
    assert (key.size, weak.size, strong.size) == (32, 32, 24)
    assert (key.recipe.blur_prob, strong.recipe.blur_prob) == (0.0, 0.5)
    assert (strong.area, strong.strong.num_ops, strong.strong.prob) == ((0.1, 0.6), 3, 0.25)
    assert (strong.strong.replacement, weak.strong.replacement) == (False, True)


@pytest.mark.parametrize(
    ('views', 'message'),
    [
        (dict(SINGLE, stong=STRONG), r"views: unknown name 'stong'; did you mean 'strong'"),
        (dict(SINGLE, weak=dict(WEAK, sizes=9)), r"views.weak: unknown name 'sizes'; did you mean 'size'"),
        (dict(SINGLE, key=dict(WEAK, num_views=2)), r'views.key.num_views is 2, but .* exactly one key view'),
        (dict(weak=WEAK), r'views.key.num_views is 0'),
        (dict(key=WEAK), r'views.weak.num_views and views.strong.num_views are 0: there is nothing'),
        (dict(SINGLE, strong=dict(num_views=-1)), r'views.strong.num_views must be a whole number >= 0'),
        (dict(SINGLE, strong=dict(area=(0.1, 0.5))), r'views.strong lacks size, such as size=224'),
        (dict(SINGLE, strong=dict(STRONG, num_views=2, size=[1, 2, 3])), r'has 3 entries for num_views=2'),
        (dict(SINGLE, strong=dict(STRONG, size='96')), r'has 2 entries for num_views=1'),
        (dict(SINGLE, strong=dict(STRONG, size=9.6)), r'strong.size must be a whole number.*got 9.6'),
        (dict(SINGLE, strong=dict(STRONG, area=(0.5, 0.1))), r'strong.area must be .* got \(0.5, 0.1\)'),
        (dict(SINGLE, strong=dict(STRONG, area=(0.1, 1.1))), r'strong.area must be \(low, high\).*<= 1'),
        (dict(SINGLE, strong=dict(STRONG, area=0.4)), r'strong.area must be \(low, high\).*got 0.4'),
        (dict(SINGLE, weak=dict(WEAK, ratio=(0, 1))), r'weak.ratio must be \(low, high\).*got \(0, 1\)'),
        (dict(SINGLE, weak=dict(WEAK, recipe=dict(type='mocov3'))), r"recipe.type.*did you mean 'mocov2'"),
        (dict(SINGLE, weak=dict(WEAK, recipe=dict(blur=1))), r"recipe.*unknown name 'blur'.*'blur_"),
        (dict(SINGLE, strong=dict(STRONG, num_ops=-1)), r'num_ops must be a whole number'),
        (dict(SINGLE, strong=dict(STRONG, num_views=0, numops=5)), r"'numops'; did you mean 'num_ops'"),
        (dict(SINGLE, strong=dict(num_views=0, num_ops=-1)), r'num_ops must be a whole number'),
        (dict(SINGLE, strong=dict(MULTI, num_views=0, area=(0, 1))), r'strong.area must be \(low, high\)'),
        (dict(SINGLE, strong=None), r'views.strong must be a dict of settings, got None; num_views=0'),
        (None, r'views must be a dict of roles.*got None'),
        (dict(SINGLE, weak=dict(WEAK, recipe=None)), r"weak.recipe must be a dict.*'mocov2'.*got None"),
        (dict(SINGLE, weak=dict(WEAK, recipe=dict(hue=None))), r'recipe.hue must be a number in \[0, 0.5\]'),
        (dict(SINGLE, weak=dict(WEAK, recipe=dict(blur_sigma=None))), r'blur_sigma must be \(low, high\)'),
        (dict(SINGLE, strong=dict(STRONG, prob=None)), r'prob must be a number in \[0, 1\].*got None'),
    ],
)
def test_wrong_settings(views: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_views(views)


def test_a_recipe_of_ones_own() -> None:
    @RECIPES.register_module(name='test_darken')
    class Darken:
        def __init__(self, low: float) -> None:
            self.low = low

        def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return (image * rng.uniform(self.low, 1)).astype(np.uint8)

    views = dict(key=WEAK, weak=dict(WEAK, recipe=dict(type='test_darken', low=0.0)))
    try:
        assert build_views(views)[1].recipe.low == 0.0
        assert (make(views)[1] != make(views, (0, 0, 0))[1]).any()
    finally:
        del RECIPES.module_dict['test_darken']


def test_a_strong_operation_of_ones_own_from_a_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module with the operation, and a config that imports it and adds it with a range."""
    (tmp_path / 'my_speckle.py').write_text(
        'from clsa_mm.datasets.views import STRONG_OPS\n'
        '@STRONG_OPS.register_module()\n'
        'def Speckle(image, magnitude, rng):\n'
        '    return image * (rng.random(image.shape[:2]) > magnitude)[..., None]\n'
    )
    only = dict.fromkeys(build_views(SINGLE)[2].strong.pool) | dict(Speckle=(0.2, 0.4))
    (tmp_path / 'config.py').write_text(
        "custom_imports = dict(imports=['my_speckle'])\n"
        f'views = {dict(SINGLE, strong=dict(STRONG, num_ops=1, prob=1.0, ops=only))!r}'
    )
    monkeypatch.syspath_prepend(tmp_path)
    views = Config.fromfile(tmp_path / 'config.py').views
    try:
        strong, again, other = (make(views, (0, 0, index))[2] for index in (0, 0, 1))
    finally:
        del STRONG_OPS.module_dict['Speckle']
    black = (strong == 0).all(-1)
    assert 0.15 < black.mean() < 0.45
    np.testing.assert_array_equal(strong, again)
    assert ((other == 0).all(-1) != black).any()


# Randomness.


def test_every_part_of_the_key_counts_and_nothing_else() -> None:
    keys = [(1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (2, 1, 3), (0, 0, 0)]
    flat = [view.tobytes() for key in keys for view in make(SMALL, key)]
    assert len(set(flat)) == len(flat) == 24
    torch.rand(1), np.random.rand(), random.random()
    transform = MakeViews(SMALL)
    transform = pickle.loads(pickle.dumps(transform))  # as on the way to a spawned worker
    for key in reversed(keys):  # one transform, another order
        views = transform({'img': IMAGE, 'sample_idx': SeededIndex(key[2], key)})['img']
        np.testing.assert_array_equal(np.concatenate([v.ravel() for v in views]), np.concatenate(
            [v.ravel() for v in make(SMALL, key)]))  # fmt: skip


def test_a_view_does_not_depend_on_the_settings_of_others() -> None:
    changed = dict(SMALL, weak=dict(SMALL['weak'], size=20))
    for before, after, same in zip(make(SMALL), make(changed), (True, False, False, True), strict=True):
        assert np.array_equal(before, after) == same


def test_global_generators_are_not_touched_and_without_a_key_numpys_is_followed() -> None:
    def states() -> list:
        numpy_state = np.random.get_state()
        return [random.getstate(), torch.get_rng_state().tolist(), numpy_state[1].tolist(), numpy_state[2]]

    before = states()
    make(SMALL)
    assert states() == before
    results = []
    for seed in (0, 0, 1):
        np.random.seed(seed)
        results.append(np.stack(MakeViews(SMALL)({'img': IMAGE, 'sample_idx': 5})['img'][:3]))
    assert (results[0] == results[1]).all() and (results[0] != results[2]).any()
    assert states()[:2] == before[:2]


def test_views_are_made_without_ipp_and_the_callers_choice_is_kept() -> None:
    """With IPP, where OpenCV has it, the hue of a view comes out different by rounding."""
    only_hue = dict(type='mocov2', jitter_prob=1.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.5)
    settings = dict(size=64, area=(0.2, 1.0), recipe=only_hue)
    results, usual = [], cv2.ipp.useIPP()
    try:
        for use in (usual, False):
            cv2.ipp.setUseIPP(use)
            results.append(make(dict(key=settings, weak=settings)))
            PackViews()(dict(img=results[-1], view_roles=['key', 'weak']))
            with pytest.raises(KeyError, match='img'):
                MakeViews(SMALL)({})
            assert cv2.ipp.useIPP() == use
    finally:
        cv2.ipp.setUseIPP(usual)
    np.testing.assert_array_equal(*results)


def test_image_is_kept() -> None:
    before = IMAGE.copy()
    make(SMALL)
    np.testing.assert_array_equal(IMAGE, before)


# Packing.


def test_packed_by_role_as_planes() -> None:
    results = MakeViews(SMALL)({'img': IMAGE, 'sample_idx': SeededIndex(7, (0, 0, 7)), 'img_path': 'a.jpg'})
    arrays = list(results['img'])
    packed = PackViews()(results)
    assert list(packed['inputs']) == ['key', 'weak', 'strong']
    tensors = [view for views in packed['inputs'].values() for view in views]
    assert len(packed['inputs']['weak']) == 2
    for array, tensor in zip(arrays, tensors, strict=True):
        assert tensor.dtype == torch.uint8 and tensor.is_contiguous()
        np.testing.assert_array_equal(tensor.numpy(), array.transpose(2, 0, 1))
    assert packed['data_samples'].sample_idx.seed_key == (0, 0, 7)
    assert packed['data_samples'].img_path == 'a.jpg'


def test_labels_reach_the_batch(tmp_path: Path) -> None:
    for number, name in enumerate(('one', 'two')):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((20, 20, 3), number, np.uint8)).save(tmp_path / name / 'a.png')
    dataset = ImageFolder(str(tmp_path), views=SMALL, labels=True)
    batch = default_collate([dataset[1], dataset[0]])
    assert [sample.gt_label.tolist() for sample in batch['data_samples']] == [[1], [0]]
    plain = ImageFolder(str(tmp_path), views=SMALL)
    assert 'gt_label' not in plain[0]['data_samples']


def test_pipelines_written_out_are_packed_alike() -> None:
    """The same roles in any order of the views; torchvision's and mmpretrain's transforms make them."""
    resize = [[dict(type='Resize', scale=(s, s))] for s in (8, 12)]
    multi_view = SeededMultiView(resize, [1, 2], roles=('strong', 'key', 'weak'))
    packed = PackViews()(multi_view({'img': IMAGE, 'sample_idx': SeededIndex(0, (0, 0, 0))}))
    shapes = {role: [tuple(v.shape) for v in views] for role, views in packed['inputs'].items()}
    assert shapes == {'key': [(3, 12, 12)], 'weak': [(3, 12, 12)], 'strong': [(3, 8, 8)]}
    with pytest.raises(ValueError, match="roles: unknown name 'strog'; did you mean 'strong'"):
        SeededMultiView(resize, [1, 1], roles=('key', 'strog'))
    with pytest.raises(ValueError, match=r"roles=\['key'\] names 1 of 3 views"):
        SeededMultiView(resize, [1, 2], roles=('key',))
    unnamed = SeededMultiView(resize, [1, 2])
    with pytest.raises(KeyError, match='PackViews needs view_roles: put MakeViews before it, or Seeded'):
        PackViews()(unnamed({'img': IMAGE}))


# The whole path.


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven pictures, one of them broken."""
    root = tmp_path_factory.mktemp('images')
    for i in range(7):
        Image.fromarray(photo(30 + i, 40, seed=i)).save(root / f'{i}.jpg')
    (root / '4.jpg').write_bytes((root / '4.jpg').read_bytes()[:100])
    return root


def run_epoch(dataset: ImageFolder, **options: object) -> dict[int, list[bytes]]:
    """Views by index, of epoch 1."""
    sampler = SeededSampler(dataset, seed=0)
    sampler.set_epoch(1)
    loader = DataLoader(dataset, sampler=sampler, collate_fn=default_collate, **options)
    return {
        sample.sample_idx.seed_key[2]: [v[i].numpy().tobytes() for vs in batch['inputs'].values() for v in vs]
        for batch in loader
        for i, sample in enumerate(batch['data_samples'])
    }


def test_views_do_not_depend_on_workers_or_batches(folder: Path) -> None:
    dataset = DATASETS.build(dict(type='ImageFolder', data_root=str(folder), views=SMALL))
    alone = run_epoch(dataset, batch_size=3)
    assert len(alone) == 7 and all(len(views) == 4 for views in alone.values())
    for workers in (1, 2):
        assert run_epoch(dataset, batch_size=2, num_workers=workers) == alone
    assert dataset.num_corrupt == 1


def test_pipeline_of_another_data_set_is_the_same(folder: Path) -> None:
    steps = [dict(type='LoadImage'), dict(type='MakeViews', views=SMALL), dict(type='PackViews')]
    dataset = ImageFolder(str(folder), pipeline=[TRANSFORMS.build(step) for step in steps])
    assert run_epoch(dataset, batch_size=3) == run_epoch(ImageFolder(str(folder), views=SMALL), batch_size=3)
    with pytest.raises(ValueError, match='Give `views` or a `pipeline`, not both'):
        ImageFolder(str(folder), views=SMALL, pipeline=steps)
