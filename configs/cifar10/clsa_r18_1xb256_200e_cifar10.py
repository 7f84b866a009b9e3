"""CLSA-Single, ResNet-18 with the CIFAR stem, 200 epochs on CIFAR-10 (one GPU).

The paper has no CIFAR recipe. What differs from ImageNet's and why: stem, crops and queue fit 32 pixels and
50,000 images; the strong view is 24 pixels of 0.1-0.6 of the area, as the paper's 96 of 224 would leave 14;
no blur and a weight decay of 5e-4, as usual on CIFAR; momentum 0.99 and twice the learning rate because the
run is short (39,000 steps). Figures: docs/results.md.

    python tools/dataset_converters/cifar10_to_folder.py cifar-10-python.tar.gz data/cifar10
    python tools/train.py configs/cifar10/clsa_r18_1xb256_200e_cifar10.py
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(
    queue_len=4096,
    momentum=0.99,
    backbone=dict(
        _delete_=True,
        type='ResNet_CIFAR',
        depth=18,
        norm_cfg=dict(type='BN'),
        zero_init_residual=False,
    ),
    neck=dict(in_channels=512, hid_channels=512),
    data_preprocessor=dict(mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255]),
)

train_dataloader = dict(
    batch_size=256,
    dataset=dict(
        data_root='data/cifar10',  # with train/<class>/ and test/<class>/; the classes are for kNN alone
        data_prefix='train',
        views=dict(
            key=dict(size=32, recipe=dict(blur_prob=0.0)),
            weak=dict(size=32, recipe=dict(blur_prob=0.0)),
            strong=dict(size=24, area=(0.1, 0.6), recipe=dict(blur_prob=0.0)),
        ),
    ),
)

optim_wrapper = dict(optimizer=dict(lr=0.06, weight_decay=5e-4))

default_hooks = dict(
    knn=dict(
        type='KNNHook',
        dataset=dict(
            type='LabelledFolder',
            data_root=None,  # the training set's
            pipeline=[dict(type='LoadImage'), dict(type='PackInputs')],
        ),
        train=dict(data_prefix='train'),
        test=dict(data_prefix='test'),
        interval=10,
        k=200,
        temperature=0.1,
    ),
)
