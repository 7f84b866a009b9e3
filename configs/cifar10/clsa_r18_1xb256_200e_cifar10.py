"""CLSA-Single, ResNet-18 with the CIFAR stem, 200 epochs on CIFAR-10 (one GPU).

The paper has no CIFAR recipe. What differs from ImageNet's and why: stem, crops and queue fit 32 pixels and
50,000 images; the strong view is 24 pixels of 0.1-0.6 of the area, as the paper's 96 of 224 would leave 14;
no blur and a weight decay of 5e-4, as usual on CIFAR; momentum 0.99 and twice the learning rate because the
run is short (39,000 steps). Figures: docs/results.md.

    python tools/dataset_converters/cifar10_to_folder.py cifar-10-python.tar.gz data/cifar10
    python tools/train.py configs/cifar10/clsa_r18_1xb256_200e_cifar10.py
"""

_base_ = ['../clsa_r50_8xb32_200e.py']

# ---------------------------------- what people change most ----------------------------------
data_root = 'data/cifar10'  # with train/<class>/ and test/<class>/; the classes are for kNN alone
max_epochs = 200
batch_size = 256
num_workers = 8
base_lr = 0.06  # for 256 images per step
queue_len = 4096
momentum = 0.99
temperature = 0.2
# ---------------------------------------------------------------------------------------------

model = dict(
    queue_len=queue_len,
    momentum=momentum,
    backbone=dict(
        _delete_=True,
        type='ResNet_CIFAR',
        depth=18,
        norm_cfg=dict(type='BN'),
        zero_init_residual=False,
    ),
    neck=dict(in_channels=512, hid_channels=512),
    head=dict(temperature=temperature, ddm_temperature=temperature),
    data_preprocessor=dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255]),
)

augmentation = [step for step in _base_.moco_v2_augmentation if step['type'] != 'GaussianBlur']
weak_view = [
    dict(type='RandomResizedCrop', scale=32, crop_ratio_range=(0.2, 1.0), backend='pillow'),
    *augmentation,
]
strong_view = [
    dict(type='RandomResizedCrop', scale=24, crop_ratio_range=(0.1, 0.6), backend='pillow'),
    *augmentation,
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
    dataset=dict(data_root=f'{data_root}/train', pipeline=train_pipeline),
)

train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=base_lr, weight_decay=5e-4))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, begin=0, end=max_epochs)]

default_hooks = dict(
    knn=dict(
        type='KNNHook',
        dataset=dict(
            type='CustomDataset',
            data_root=data_root,
            pipeline=[dict(type='LoadImage'), dict(type='PackInputs')],
        ),
        train=dict(data_prefix='train'),
        test=dict(data_prefix='test'),
        interval=10,
        k=200,
        temperature=0.1,
    )
)
