"""Linear evaluation on ImageNet of ViT-Small/16: a linear classifier on the frozen class token.

    tools/dist_train.sh configs/benchmarks/classification/linear_vit-small_8xb32_100e_imagenet.py 8 \
        --backbone work_dirs/backbones/clsa_vit-small_8xb32_200e/epoch_200.pth
"""

_base_ = '../../_base_/linear.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MoCoV3ViT',
        arch='mocov3-small',
        img_size=224,
        patch_size=16,
        out_type='cls_token',
        frozen_stages=12,  # all of it
    ),
    neck=None,
    head=dict(in_channels=384),
)
