"""SimCLR, ResNet-18 with the CIFAR stem, 200 epochs on CIFAR-10: views and budget of CLSA's.

Temperature 0.5 as in the CIFAR-10 command of the authors' README; the algorithm is mmpretrain's.

    python tools/train.py configs/cifar10/simclr_r18_1xb256_200e_cifar10.py
"""

_base_ = './clsa_r18_1xb256_200e_cifar10.py'

model = dict(
    _delete_=True,
    type='SimCLR',
    backbone=dict(type='ResNet_CIFAR', depth=18, norm_cfg=dict(type='BN'), zero_init_residual=False),
    neck=dict(
        type='NonLinearNeck',
        in_channels=512,
        hid_channels=512,
        out_channels=128,
        norm_cfg=dict(type='BN1d'),
    ),
    head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.5),
    data_preprocessor=dict(
        type='ViewsDataPreprocessor',
        as_list=True,
        mean=[125.307, 122.961, 113.8575],
        std=[51.5865, 50.847, 51.255],
        to_rgb=True,
    ),
)
train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_views=0))))
default_hooks = dict(momentum_queue=None)
