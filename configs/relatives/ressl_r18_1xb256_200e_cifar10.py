"""ReSSL, ResNet-18 with the CIFAR stem, 200 epochs on CIFAR-10 (one GPU).

Augmentation with blur, weight decay on all parameters, and BatchNorm over eighths of the batch are the
authors' (issues 5 and 11 of their repository). Queue, momentum, projection and learning rate are those of
``configs/cifar10``; docs/methods/relatives.md has their source.

    python tools/train.py configs/relatives/ressl_r18_1xb256_200e_cifar10.py
"""

_base_ = '../cifar10/clsa_r18_1xb256_200e_cifar10.py'

model = dict(
    bank='queue',
    backbone=dict(norm_cfg=dict(type='SplitBN', num_splits=8)),
    head=dict(
        contrastive_weight=0.0,
        teacher='key',
        teacher_temperature=0.04,
        ddm_temperature=0.1,
    ),
)

train_dataloader = dict(
    dataset=dict(
        views=dict(
            key=dict(recipe=dict(jitter_prob=0.0, grey_prob=0.0)),
            weak=dict(num_views=0),
            strong=dict(size=32, area=(0.2, 1.0), recipe=dict(blur_prob=0.5), num_ops=0),
        ),
    ),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=5, convert_to_iter_based=True),
]
