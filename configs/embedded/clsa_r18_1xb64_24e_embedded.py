"""CLSA-Single on the embedded pictures: what ``make demo`` trains, on two CPU cores in some minutes.

The method is the ImageNet recipe's; what differs fits 2,000 small pictures and 744 steps: a narrow ResNet-18,
milder crops, Adam (SGD needs more steps to get going), a lower temperature, queue and momentum.

    python tools/dataset_converters/make_embedded_data.py data/embedded
    python tools/train.py configs/embedded/clsa_r18_1xb64_24e_embedded.py
"""

_base_ = ['../clsa_r50_8xb32_200e.py']

# ---------------------------------- what people change most ----------------------------------
data_root = 'data/embedded/imagenet'
max_epochs = 24
batch_size = 64
num_workers = 2
base_lr = 2e-3  # for 64 images per step
queue_len = 512
momentum = 0.99
temperature = 0.1
# ---------------------------------------------------------------------------------------------

model = dict(
    queue_len=queue_len,
    momentum=momentum,
    backbone=dict(depth=18, base_channels=32, stem_channels=32),
    neck=dict(in_channels=256, hid_channels=256),
    head=dict(temperature=temperature, ddm_temperature=temperature),
)

weak_view = [
    dict(type='RandomResizedCrop', scale=48, crop_ratio_range=(0.4, 1.0), backend='pillow'),
    *_base_.moco_v2_augmentation,
]
strong_view = [
    dict(type='RandomResizedCrop', scale=32, crop_ratio_range=(0.2, 0.7), backend='pillow'),
    *_base_.moco_v2_augmentation,
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
    dataset=dict(data_root=f'{data_root}/train', pipeline=train_pipeline),
)

train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=base_lr, weight_decay=1e-4))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, begin=0, end=max_epochs)]
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(
    checkpoint=dict(interval=4),
    logger=dict(interval=10),
    knn=dict(
        type='KNNHook',
        dataset=dict(
            type='CustomDataset',
            data_root=data_root,
            pipeline=[
                dict(type='LoadImage'),
                dict(type='Resize', scale=48, backend='pillow'),
                dict(type='PackInputs'),
            ],
        ),
        train=dict(data_prefix='train'),
        test=dict(data_prefix='val'),
        batch_size=128,
        interval=4,
    ),
)
