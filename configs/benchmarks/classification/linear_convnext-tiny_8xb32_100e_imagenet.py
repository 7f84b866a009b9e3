"""Linear evaluation on ImageNet of ConvNeXt-Tiny: a linear classifier on its frozen, pooled features.

    tools/dist_train.sh configs/benchmarks/classification/linear_convnext-tiny_8xb32_100e_imagenet.py 8 \
        --backbone work_dirs/backbones/clsa_convnext-tiny_8xb32_200e/epoch_200.pth
"""

_base_ = '../../_base_/linear.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ConvNeXt',
        arch='tiny',
        frozen_stages=4,  # stem and stages, and by norm_cfg the last norm
        norm_cfg=dict(type='LN2d', eps=1e-6, requires_grad=False),
    ),
    neck=None,
    head=dict(in_channels=768),
)
