"""SupCon, ResNet-50, 350 epochs on ImageNet, over the views of a batch of 2048.

Optimizer, schedule, temperature, scale and crop are those of ``supcon_imagenet_resnet50.sh`` in
google-research/supcon (LARS, 0.4 for 256 images, 12 epochs of warm-up, weight decay 1e-3), the projection the
paper's. Its batch is 6144, with AutoAugment: 78.7 % linear top-1; the paper calls 2048 enough for most
purposes. The views are augmented as MoCo v2's here.

    tools/dist_train.sh configs/supcon/supcon_r50_8xb256_350e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(
    _delete_=True,
    type='SupCon',
    supervised=True,
    channels_last=False,
    backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='BN'), zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        with_avg_pool=True,
    ),
    head=dict(type='SupConHead', temperature=0.1, base_temperature=1.0, place='out'),
    data_preprocessor=dict(
        type='ViewsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
)

train_dataloader = dict(
    batch_size=256,
    dataset=dict(
        labels=True,
        views=dict(key=dict(area=(0.08, 1.0)), weak=dict(area=(0.08, 1.0)), strong=dict(num_views=0)),
    ),
)

train_cfg = dict(max_epochs=350)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='LARS', lr=3.2, momentum=0.9, weight_decay=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=12, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=12, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=2048)

default_hooks = dict(momentum_queue=None)
