"""SwAV (arXiv 2006.09882), ResNet-50, 2 large and 6 small crops, batch 256, 200 epochs on ImageNet.

mmpretrain's algorithm, with the numbers of the authors' ``scripts/swav_200ep_bs256_pretrain.sh``.

    tools/dist_train.sh configs/frameworks/swav_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(
    _delete_=True,
    type='SwAV',
    backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='SyncBN'), zero_init_residual=True),
    neck=dict(type='SwAVNeck', in_channels=2048, hid_channels=2048, out_channels=128, with_avg_pool=True),
    head=dict(
        type='SwAVHead',
        loss=dict(
            type='SwAVLoss',
            feat_dim=128,
            epsilon=0.05,
            temperature=0.1,
            num_crops=[2, 6],
            num_prototypes=3000,
        ),
    ),
    data_preprocessor=dict(
        type='ViewsDataPreprocessor',
        as_list=True,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
)

train_dataloader = dict(
    dataset=dict(
        views=dict(
            key=dict(size=224, area=(0.14, 1.0), recipe=dict(type='simclr')),
            weak=dict(
                num_views=7,
                size=[224, 96, 96, 96, 96, 96, 96],
                area=[(0.14, 1.0), *[(0.05, 0.14)] * 6],
                recipe=dict(type='simclr'),
            ),
            strong=dict(num_views=0, recipe=dict(type='simclr')),
        ),
    ),
)

optim_wrapper = dict(optimizer=dict(type='LARS', lr=0.6, momentum=0.9, weight_decay=1e-6))
param_scheduler = dict(type='CosineAnnealingLR', eta_min=6e-4, convert_to_iter_based=True)
find_unused_parameters = True  # the prototypes are frozen at first

default_hooks = dict(
    momentum_queue=None,
    watch=dict(rank_interval=None),  # whose projection of a single view SwAV's neck does not make
    swav=dict(
        type='SwAVHook',
        priority='VERY_HIGH',
        batch_size=32,  # of train_dataloader
        epoch_queue_starts=15,
        crops_for_assign=[0, 1],
        feat_dim=128,
        queue_length=3840,
        frozen_layers_cfg=dict(prototypes=5005),  # iterations
    ),
)
