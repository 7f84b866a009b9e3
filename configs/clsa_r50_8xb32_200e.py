"""CLSA-Single, ResNet-50, 200 epochs on ImageNet: the paper's training.

Paper (arXiv 2104.07713): 69.4 % linear top-1, 70 h on 8 V100. Every number is the paper's or the official
``cmd/run_single.sh``'s; docs/algorithm.md names the source of each.

    tools/dist_train.sh configs/clsa_r50_8xb32_200e.py 8
"""

_base_ = ['./_base_/default_runtime.py']

# ---------------------------------- what people change most ----------------------------------
data_root = 'data/imagenet/train'  # any folder of images, flat or nested, no labels needed
max_epochs = 200
batch_size = 32  # images per GPU; 8 GPUs make the paper's 256
num_workers = 8  # per GPU
base_lr = 0.03  # for 256 images per step
queue_len = 65536  # less than the number of images
momentum = 0.999  # share of its old self that the key encoder keeps
beta = 1.0  # weight of the DDM loss
# ---------------------------------------------------------------------------------------------

model = dict(
    type='CLSA',
    view_roles=('key', 'weak', 'strong'),
    queue_len=queue_len,
    feat_dim=128,
    momentum=momentum,
    channels_last=False,
    backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='BN'), zero_init_residual=False),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        with_avg_pool=True,
    ),
    head=dict(type='DDMHead', temperature=0.2, ddm_temperature=0.2, beta=beta),
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
)

# MoCo v2's augmentation after the crop, bit for bit that of torchvision on PIL images. A strong view has
# it too, with five operations on top.
moco_v2_augmentation = [
    dict(type='NumpyToPIL', to_rgb=True),
    dict(
        type='RandomApply',
        transforms=[
            dict(
                type='torchvision/ColorJitter',
                brightness=0.4,
                contrast=0.4,
                saturation=0.4,
                hue=0.1,
            )
        ],
        prob=0.8,
    ),
    dict(type='torchvision/RandomGrayscale', p=0.2),
    dict(type='PILToNumpy', to_bgr=True),
    dict(type='GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=0.5),
    dict(type='RandomFlip', prob=0.5),
]
weak_view = [
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0), backend='pillow'),
    *moco_v2_augmentation,
]
strong_view = [
    dict(type='RandomResizedCrop', scale=96, crop_ratio_range=(0.086, 0.429), backend='pillow'),
    *moco_v2_augmentation,
    dict(type='StrongAugment', num_ops=5, prob=0.5, policy='paper'),
]
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='SeededMultiView', num_views=[2, 1], transforms=[weak_view, strong_view]),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=num_workers > 0,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='ImageFolder', data_root=data_root, pipeline=train_pipeline),
)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=base_lr, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, begin=0, end=max_epochs)]
auto_scale_lr = dict(base_batch_size=256, enable=False)

default_hooks = dict(momentum_queue=dict(type='MomentumQueueHook'))
