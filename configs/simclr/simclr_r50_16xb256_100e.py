"""SimCLR, ResNet-50, batch 4096, 100 epochs on ImageNet: the paper's default, colour strength 1 and blur.

Paper (arXiv 2002.05709): 64.5 % linear top-1 (Table 1). The algorithm is mmpretrain's, the key view and the
weak one its two views. docs/methods/frameworks.md has the studies and the source of each number.

    tools/dist_train.sh configs/simclr/simclr_r50_16xb256_100e.py 16
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(
    _delete_=True,
    type='SimCLR',
    backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='SyncBN'), zero_init_residual=True),
    neck=dict(
        type='NonLinearNeck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        num_layers=2,
        with_avg_pool=True,
    ),
    head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.1),
    data_preprocessor=dict(
        type='ViewsDataPreprocessor',
        as_list=True,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
)

train_dataloader = dict(
    batch_size=256,
    dataset=dict(
        views=dict(
            key=dict(area=(0.08, 1.0), recipe=dict(type='simclr')),
            weak=dict(area=(0.08, 1.0), recipe=dict(type='simclr')),
            strong=dict(num_views=0, recipe=dict(type='simclr')),
        ),
    ),
)

train_cfg = dict(max_epochs=100)
optim_wrapper = dict(
    optimizer=dict(type='LARS', lr=4.8, momentum=0.9, weight_decay=1e-6),
    paramwise_cfg=dict(
        custom_keys={
            'bn': dict(decay_mult=0, lars_exclude=True),
            'bias': dict(decay_mult=0, lars_exclude=True),
            'downsample.1': dict(decay_mult=0, lars_exclude=True),  # a BatchNorm too
        },
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, begin=0, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=10, convert_to_iter_based=True),  # to 0 at the end of train_cfg
]
auto_scale_lr = dict(base_batch_size=4096)

default_hooks = dict(momentum_queue=None)  # there is no key encoder
