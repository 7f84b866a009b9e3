"""Linear evaluation on CIFAR-10: a linear classifier on a frozen ResNet-18 with the CIFAR stem.

The paper has no CIFAR recipe: its schedule is kept, the crop is CIFAR's usual one. Its learning rate of 10
is too high here: of 0.1, 1 and 10, 1 was best in a short run (docs/results.md).

    python tools/train.py configs/benchmarks/classification/linear_r18_1xb256_100e_cifar10.py \
        --backbone work_dirs/cifar10/clsa_r18_1xb256_200e_cifar10/epoch_200.pth
"""

_base_ = '../../_base_/linear.py'

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=10, in_channels=512),
    data_preprocessor=dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255]),
)

train_dataloader = dict(
    batch_size=256,
    dataset=dict(
        _delete_=True,
        type='LabelledFolder',
        data_root='data/cifar10',  # with train/<class>/ and test/<class>/
        data_prefix='train',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=256,
    dataset=dict(
        _delete_=True,
        type='LabelledFolder',
        data_root=None,  # the training set's
        data_prefix='test',
        pipeline=[dict(type='LoadImage'), dict(type='PackInputs')],
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=1.0))
