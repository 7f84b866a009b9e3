"""Linear evaluation on the embedded picture world: a half-width ResNet-18 at 48 pixels.

    python tools/train.py configs/benchmarks/classification/linear_r18_1xb64_15e_embedded.py \
        --backbone work_dirs/clsa_r18_1xb64_24e_embedded/epoch_24.pth
"""

_base_ = ['../../_base_/default_runtime.py', '../../_base_/linear.py']

data_root = 'data/embedded/imagenet'  # with train/<class>/ and val/<class>/
num_classes = 10
max_epochs = 15

model = dict(
    backbone=dict(depth=18, base_channels=32, stem_channels=32),
    head=dict(num_classes=num_classes, in_channels=256),
    data_preprocessor=dict(num_classes=num_classes),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomResizedCrop', scale=48, crop_ratio_range=(0.2, 1.0), backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeEdge', scale=48, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=48),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root=data_root,
        data_prefix='val',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=0.1))  # the paper's 10 overfits some thousand images
auto_scale_lr = dict(base_batch_size=64)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=0.0, by_epoch=True, end=max_epochs)
]
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
