"""Linear evaluation on the embedded picture world: a half-width ResNet-18 at 48 pixels.

    python tools/train.py configs/benchmarks/classification/linear_r18_1xb64_15e_embedded.py \
        --backbone work_dirs/embedded/clsa_r18_1xb64_24e_embedded/epoch_24.pth
"""

_base_ = '../../_base_/linear.py'

model = dict(
    backbone=dict(depth=18, base_channels=32, stem_channels=32),
    head=dict(num_classes=10, in_channels=256),
)

train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='LabelledFolder',
        data_root='data/embedded/imagenet',  # with train/<class>/ and val/<class>/
        data_prefix='train',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='RandomResizedCrop', scale=48, crop_ratio_range=(0.2, 1.0), backend='pillow'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='LabelledFolder',
        data_root=None,  # the training set's
        data_prefix='val',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='ResizeEdge', scale=48, edge='short', backend='pillow'),
            dict(type='CenterCrop', crop_size=48),
            dict(type='PackInputs'),
        ],
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=0.1))  # the paper's 10 overfits some thousand images
auto_scale_lr = dict(base_batch_size=64)
train_cfg = dict(max_epochs=15, val_interval=5)
