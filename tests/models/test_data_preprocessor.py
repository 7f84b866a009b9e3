"""ViewsDataPreprocessor against torchvision's conversion and normalisation."""

import pytest
import torch
import torchvision.transforms.functional as F
from mmengine.registry import MODELS
from mmpretrain.models.utils import SelfSupDataPreprocessor

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def batch() -> dict[str, list[torch.Tensor]]:
    """Views of three sizes: one key, two weak, one strong."""
    torch.manual_seed(0)
    sizes = dict(key=[8], weak=[8, 6], strong=[4])
    return {
        role: [torch.randint(0, 256, (2, 3, s, s), dtype=torch.uint8) for s in each]
        for role, each in sizes.items()
    }


def expected(view: torch.Tensor) -> torch.Tensor:
    rgb = view.flip(1).double() / 255
    return F.normalize(rgb, [m / 255 for m in MEAN], [s / 255 for s in STD]).float()


def build(**options: object) -> torch.nn.Module:
    return MODELS.build(dict(type='ViewsDataPreprocessor', mean=MEAN, std=STD, to_rgb=True, **options))


def test_views_keep_their_roles() -> None:
    inputs = batch()
    result = build()(dict(inputs=inputs, data_samples=['a', 'b']))
    assert result['data_samples'] == ['a', 'b']
    assert list(result['inputs']) == ['key', 'weak', 'strong']
    for role, views in inputs.items():
        assert len(result['inputs'][role]) == len(views)
        for actual, view in zip(result['inputs'][role], views, strict=True):
            torch.testing.assert_close(actual, expected(view), rtol=1e-5, atol=1e-5)


def test_flat_list_for_algorithms_of_mmpretrain() -> None:
    result = build(as_list=True)(dict(inputs=batch()))['inputs']
    views = [view for views in batch().values() for view in views]
    for actual, view in zip(result, views, strict=True):
        torch.testing.assert_close(actual, expected(view), rtol=1e-5, atol=1e-5)


def test_one_batch_for_classifiers_of_mmpretrain() -> None:
    inputs = dict(key=batch()['key'], weak=batch()['weak'][:1])
    result = build(as_batch=True)(dict(inputs=inputs, data_samples=['a', 'b']))
    images = torch.cat([expected(view) for views in inputs.values() for view in views])
    torch.testing.assert_close(result['inputs'], images, rtol=1e-5, atol=1e-5)
    assert result['data_samples'] == ['a', 'b', 'a', 'b']
    assert build(as_batch=True)(dict(inputs=inputs))['data_samples'] is None
    with pytest.raises(
        ValueError, match=r'views of sizes \[8, 8, 6, 4\] make no batch: set one size in train_dataloader'
    ):
        build(as_batch=True)(dict(inputs=batch()))
    with pytest.raises(ValueError, match='as_list or as_batch, not both'):
        build(as_list=True, as_batch=True)
    with pytest.raises(ValueError, match='no batch_augments, .*: leave out model.train_cfg'):
        build(as_batch=True, batch_augments=dict(augments=[]))


@pytest.mark.parametrize('kind', ['tensor', 'list'])
def test_other_inputs_are_mmpretrains(kind: str) -> None:
    [key], *_ = batch().values()
    inputs = key if kind == 'tensor' else [key, key.flip(0)]
    data = dict(inputs=inputs, data_samples=['a', 'b'])
    theirs = SelfSupDataPreprocessor(mean=MEAN, std=STD, to_rgb=True)(data)['inputs']
    torch.testing.assert_close(build()(data)['inputs'], theirs, rtol=0, atol=0)
