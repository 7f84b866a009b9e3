"""CLSA's relatives that are settings: their models against their own equations."""

from pathlib import Path

import pytest
import reference
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from small_networks import small_network

ROOT = Path(__file__).parents[2] / 'configs/relatives'


@pytest.mark.parametrize('name', ['ressl_r50_8xb32_200e', 'ressl-multi_r50_8xb32_200e'])
def test_ressl_teaches_views_by_the_key_over_the_queue(name):
    """The cross-entropy of arXiv 2107.09282 over the keys of former batches, mean over student views."""
    cfg = Config.fromfile(ROOT / f'{name}.py')
    init_default_scope(cfg.default_scope)
    cfg.merge_from_dict(small_network(cfg.model))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).double()
    views = cfg.train_dataloader.dataset.views.strong.num_views
    inputs = dict(
        key=[torch.randn(4, 3, 32, 32, dtype=torch.float64)],
        strong=[torch.randn(4, 3, 24, 24, dtype=torch.float64) for _ in range(views)],
    )
    losses = model.loss(inputs)
    keys, _ = model.encode_keys(inputs['key'][0])
    students = [model.encode_query(view) for view in inputs['strong']]
    terms = [reference.ddm(keys, student, model.queue.keys, 0.1, 0.04) for student in students]
    expected = sum(terms) / views
    torch.testing.assert_close(losses['loss_ddm'], expected, rtol=0, atol=1e-9)
    parameters = [*model.backbone.parameters(), *model.neck.parameters()]
    gradients = [torch.autograd.grad(loss, parameters) for loss in (losses['loss_ddm'], expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-9)
    assert set(losses) == {'loss_ddm', 'positive_similarity', 'negative_similarity', 'feature_std'}


def test_ressl_as_in_the_official_code():
    """``ressl.py``, ``network/`` and ``data/augmentation.py`` of KyleZheng1997/ReSSL."""
    cfg = Config.fromfile(ROOT / 'ressl_r50_8xb32_200e.py')
    model = cfg.model
    assert (model.bank, model.queue_len, model.feat_dim, model.momentum) == ('queue', 131072, 512, 0.999)
    assert (model.neck.in_channels, model.neck.hid_channels, model.neck.out_channels) == (2048, 4096, 512)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (0.05, 0.9, 1e-4)
    key, student = (cfg.train_dataloader.dataset.views[role] for role in ('key', 'strong'))
    assert key.recipe == dict(type='mocov2', jitter_prob=0.0, grey_prob=0.0, blur_prob=0.0)
    assert student.recipe == dict(type='mocov2')
    assert key.size == student.size == 224
    assert key.area == student.area == (0.2, 1.0)
