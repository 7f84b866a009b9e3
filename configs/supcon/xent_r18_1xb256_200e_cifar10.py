"""Cross-entropy on the same views, network and schedule as SupCon: both views of an image are classified.

Learning rate 0.8 for 1024 images as in the official command, which has one view, with crop and flip alone,
and half of SupCon's epochs.

    python tools/train.py configs/supcon/xent_r18_1xb256_200e_cifar10.py
"""

_base_ = './supcon_r18_1xb256_200e_cifar10.py'

model = dict(
    _delete_=True,
    type='ImageClassifier',
    backbone=dict(
        type='ResNet_CIFAR',
        depth=18,
        norm_cfg=dict(type='BN'),
        zero_init_residual=False,
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=512,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
    data_preprocessor=dict(
        type='ViewsDataPreprocessor',
        as_batch=True,
        mean=[125.307, 122.961, 113.8575],
        std=[51.5865, 50.847, 51.255],
        to_rgb=True,
    ),
)

optim_wrapper = dict(optimizer=dict(lr=0.2))

default_hooks = dict(health=None)
