"""Narrow networks of mmpretrain's two-view algorithms, and images for them."""

import torch
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from torch import Tensor, nn

BACKBONE = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)
NORM = dict(norm_cfg=dict(type='BN1d'))


def neck(in_channels: int = 64, pool: bool = True) -> dict:
    return dict(
        type='mmpretrain.NonLinearNeck',
        in_channels=in_channels,
        hid_channels=24,
        out_channels=16,
        with_avg_pool=pool,
        **NORM,
    )


PREDICTION = dict(
    neck=neck(),
    head=dict(
        type='mmpretrain.LatentPredictHead',
        loss=dict(type='mmpretrain.CosineSimilarityLoss'),
        predictor=neck(16, pool=False),
    ),
)
ALGORITHMS = dict(
    SimCLR=dict(
        neck=neck(),
        head=dict(
            type='mmpretrain.ContrastiveHead',
            loss=dict(type='mmpretrain.CrossEntropyLoss'),
            temperature=0.1,
        ),
    ),
    BYOL=PREDICTION,
    SimSiam=PREDICTION,
    SwAV=dict(
        neck=dict(type='mmpretrain.SwAVNeck', in_channels=64, hid_channels=24, out_channels=16, **NORM),
        head=dict(
            type='mmpretrain.SwAVHead',
            loss=dict(type='mmpretrain.SwAVLoss', feat_dim=16, num_crops=[2, 2], num_prototypes=12),
        ),
    ),
)


def build(name: str, ddm: dict | None = None, seed: int = 0, backbone: dict = BACKBONE) -> nn.Module:
    """mmpretrain's algorithm, or with settings of DDM ours, in float64 and the midst of a training."""
    torch.manual_seed(seed)
    extra = dict(type=f'mmpretrain.{name}') if ddm is None else dict(type=f'{name}WithDDM', ddm=ddm)
    preprocessor = dict(type='mmengine.BaseDataPreprocessor')
    model = MODELS.build(
        {**ALGORITHMS[name], **extra, 'backbone': backbone, 'data_preprocessor': preprocessor}
    )
    model.init_weights()
    if name == 'BYOL':  # a target that is no longer the online network, and does not start again as it
        MessageHub.get_current_instance().update_info('max_iters', 100)
        model.target_net.steps += 7
        for parameter in model.target_net.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
    return model.double()


def views(name: str, strong: int = 2, batch: int = 5, seed: int = 0) -> dict[str, list[Tensor]]:
    """Images by role, float64; SwAV has two small crops among the weak views."""
    generator = torch.Generator().manual_seed(seed)
    sizes = dict(key=[32], weak=[32, 16, 16] if name == 'SwAV' else [32], strong=[24] * strong)
    return {
        role: [torch.randn(batch, 3, size, size, generator=generator).double() for size in each]
        for role, each in sizes.items()
        if each
    }
