"""SupCon, ResNet-18 with the CIFAR stem, 200 epochs on CIFAR-10 (one GPU).

Loss, temperature, views, weight decay and learning rate (0.5 for 1024 images) are those of the official
command for ResNet-50 (``supcon_r50_1xb1024_1000e_cifar10.py``); network and length are those of
``configs/cifar10``.

    python tools/train.py configs/supcon/supcon_r18_1xb256_200e_cifar10.py
"""

_base_ = '../cifar10/clsa_r18_1xb256_200e_cifar10.py'

model = dict(
    _delete_=True,
    type='SupCon',
    supervised=True,
    channels_last=False,
    backbone=dict(
        type='ResNet_CIFAR',
        depth=18,
        norm_cfg=dict(type='BN'),
        zero_init_residual=False,
    ),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=512,
        hid_channels=512,
        out_channels=128,
        with_avg_pool=True,
    ),
    head=dict(
        type='SupConHead',
        temperature=0.1,
        base_temperature=0.07,  # None: the equations; 1: the paper's scaling by the temperature
        place='out',
    ),
    data_preprocessor=dict(
        type='ViewsDataPreprocessor',
        mean=[125.307, 122.961, 113.8575],
        std=[51.5865, 50.847, 51.255],
        to_rgb=True,
    ),
)

# Two views, alike but for their names.
train_dataloader = dict(dataset=dict(labels=True, views=dict(strong=dict(num_views=0))))

optim_wrapper = dict(optimizer=dict(lr=0.125, weight_decay=1e-4))

default_hooks = dict(momentum_queue=None)
