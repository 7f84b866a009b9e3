"""CLSA-Single, ResNet-50, 200 epochs on ImageNet: the paper's training.

Paper (arXiv 2104.07713): 69.4 % linear top-1, 70 h on 8 V100. Every number is the paper's or the official
``cmd/run_single.sh``'s; docs/algorithm.md names the source of each.

    tools/dist_train.sh configs/clsa_r50_8xb32_200e.py 8

Each setting stands once, below. A config that inherits, or ``--cfg-options``, changes it by its full name;
these are changed most:

    train_dataloader.dataset.data_root              the images: any folder, flat or nested, no labels needed
    train_cfg.max_epochs                            the length; the schedule follows
    train_dataloader.batch_size, .num_workers       per GPU
    optim_wrapper.optimizer.lr                      for auto_scale_lr.base_batch_size images per step
    model.queue_len, model.momentum                 for small data sets and short runs: 4096, 0.99
    model.head.beta, model.bank                     weight of the DDM loss; 'own' is the paper's equation (1)
    train_dataloader.dataset.views.strong.num_ops   and all else of the three roles' views
"""

_base_ = './_base_/default_runtime.py'

model = dict(
    type='CLSA',
    bank='batch',  # the keys of the global batch and the queue; 'own': each query's own key and the queue
    queue_len=65536,  # less than the number of images
    feat_dim=128,
    momentum=0.999,  # share of its old self that the key encoder keeps
    channels_last=False,
    backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='BN'), zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        with_avg_pool=True,
    ),
    head=dict(type='DDMHead', temperature=0.2, ddm_temperature=0.2, beta=1.0),
    data_preprocessor=dict(
        type='ViewsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
)

train_dataloader = dict(
    batch_size=32,  # per GPU; 8 GPUs make the paper's 256
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageFolder',
        data_root='data/imagenet/train',
        # MoCo v2's augmentation after the crop; a strong view has five operations on top.
        views=dict(
            key=dict(num_views=1, size=224, area=(0.2, 1.0), recipe=dict(type='mocov2')),
            weak=dict(num_views=1, size=224, area=(0.2, 1.0), recipe=dict(type='mocov2')),
            strong=dict(
                num_views=1,
                size=96,
                area=(0.086, 0.429),
                recipe=dict(type='mocov2'),
                num_ops=5,
                prob=0.5,
                policy='paper',
                ops=dict(),
                replacement=True,
            ),
        ),
    ),
)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = dict(type='CosineAnnealingLR')  # to 0 at the end of train_cfg
auto_scale_lr = dict(base_batch_size=256, enable=False)

default_hooks = dict(
    momentum_queue=dict(type='MomentumQueueHook'),
    health=dict(type='HealthHook'),
    watch=dict(type='WatchHook'),
)
