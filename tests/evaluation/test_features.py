import copy
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_images import NORMALISATION, TinyModel, loader_config, write_images
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image
from torch.utils.data import DataLoader

import clsa_mm  # noqa: F401
from clsa_mm.evaluation import extract_features, global_average_pool


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init_default_scope('mmpretrain')
    return write_images(tmp_path / 'images', per_class=3)


def build_loader(config: dict, **changes) -> DataLoader:
    sampler = dict(type='DefaultSampler', shuffle=False)
    return Runner.build_dataloader(dict(config, sampler=sampler, **changes))


def expected_features(model: TinyModel, folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Image by image with PIL and numpy, in the order of sorted class folders."""
    model = copy.deepcopy(model).eval()
    vectors, labels = [], []
    for label, name in enumerate(sorted(path.name for path in folder.iterdir())):
        for path in sorted((folder / name).iterdir()):
            rgb = np.asarray(Image.open(path).convert('RGB'), dtype=np.float32)
            pixels = (rgb - NORMALISATION['mean'][0]) / NORMALISATION['std'][0]
            with torch.no_grad():
                maps = model.backbone(torch.from_numpy(pixels).permute(2, 0, 1)[None])[-1]
            vectors.append(maps.numpy()[0].mean(axis=(1, 2)))
            labels.append(label)
    return torch.from_numpy(np.stack(vectors)), torch.tensor(labels)


@pytest.mark.parametrize('collate', ['default_collate', 'pseudo_collate'])
def test_features_and_labels_equal_one_image_at_a_time(folder: Path, collate: str) -> None:
    model = TinyModel()
    loader = build_loader(loader_config(folder), collate_fn=dict(type=collate))
    features, labels = extract_features(model, loader)
    expected, expected_labels = expected_features(model, folder)
    assert labels.tolist() == expected_labels.tolist()
    assert not features.requires_grad
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_nothing_of_the_training_is_disturbed(folder: Path) -> None:
    model = TinyModel().train()
    loader = build_loader(loader_config(folder))
    model.backbone.layer1.eval()  # a frozen part keeps its own mode
    modes = [module.training for module in model.modules()]
    state = copy.deepcopy(model.state_dict())
    generators = random.getstate(), np.random.get_state(), torch.get_rng_state()
    extract_features(model, loader)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert random.getstate() == generators[0]
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), generators[1], strict=True))
    assert torch.equal(torch.get_rng_state(), generators[2])


def test_modes_come_back_after_an_error(folder: Path) -> None:
    model = TinyModel().train()
    loader = build_loader(loader_config(folder, with_label=False))
    with pytest.raises(ValueError, match='one class label per image'):
        extract_features(model, loader)
    assert all(module.training for module in model.modules())


def test_several_views_are_refused(folder: Path) -> None:
    views = dict(type='MultiView', num_views=[2], transforms=[[dict(type='RandomFlip', prob=0.5)]])
    config = loader_config(folder)
    config['dataset']['pipeline'].insert(1, views)
    with pytest.raises(ValueError, match='one view per image'):
        extract_features(TinyModel(), build_loader(config, collate_fn=dict(type='default_collate')))


def test_sizes_that_differ_are_refused(folder: Path) -> None:
    Image.new('RGB', (20, 10)).save(folder / 'blue' / 'other_size.png')
    with pytest.raises(ValueError, match='differ in size'):
        extract_features(TinyModel(), build_loader(loader_config(folder)))


def test_left_out_images_are_an_error(folder: Path) -> None:
    loader = build_loader(loader_config(folder), drop_last=True)
    with pytest.raises(ValueError, match='8 of 9 images.*drop_last=False'):
        extract_features(TinyModel(), loader)


def test_global_average_pool() -> None:
    maps = torch.arange(24.0).reshape(1, 6, 2, 2)
    assert global_average_pool((maps[:, :1], maps)).tolist() == [[1.5, 5.5, 9.5, 13.5, 17.5, 21.5]]
    vectors = torch.rand(3, 4)
    assert torch.equal(global_average_pool(vectors), vectors)
    with pytest.raises(ValueError, match='cls_token'):
        global_average_pool(torch.rand(2, 5, 4))
