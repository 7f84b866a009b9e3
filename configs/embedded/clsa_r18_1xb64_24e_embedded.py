"""CLSA-Single on the embedded pictures: what ``make demo`` trains, on two CPU cores in some minutes.

The method is the ImageNet recipe's; what differs fits 2,000 small pictures and 744 steps: a narrow
ResNet-18, milder crops, Adam (SGD needs more steps to get going), a lower temperature and momentum. The
queue holds one batch: keys change so much in a few of these steps that old ones would be told by their age.
A class is a shape with a texture, in colours at random, so the views change hue and lose colour often, and
are not blurred, which would wipe out textures of some pixels. SplitBN stands in for the several GPUs of the
paper.

    python tools/dataset_converters/make_embedded_data.py data/embedded
    python tools/train.py configs/embedded/clsa_r18_1xb64_24e_embedded.py
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(
    queue_len=64,
    momentum=0.99,
    channels_last=True,  # a fifth faster on CPUs
    backbone=dict(depth=18, base_channels=32, stem_channels=32, norm_cfg=dict(type='SplitBN', num_splits=8)),
    neck=dict(in_channels=256, hid_channels=256),
    head=dict(temperature=0.1, ddm_temperature=0.1),
)

train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(
        data_root='data/embedded/imagenet',  # with train/<class>/ and val/<class>/, for kNN
        data_prefix='train',
        views=dict(
            key=dict(size=48, area=(0.4, 1.0), recipe=dict(hue=0.5, grey_prob=0.5, blur_prob=0.0)),
            weak=dict(size=48, area=(0.4, 1.0), recipe=dict(hue=0.5, grey_prob=0.5, blur_prob=0.0)),
            strong=dict(size=32, area=(0.2, 0.7), recipe=dict(hue=0.5, grey_prob=0.5, blur_prob=0.0)),
        ),
    ),
)

train_cfg = dict(max_epochs=24)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=1e-3, weight_decay=1e-4))
auto_scale_lr = dict(base_batch_size=64)

default_hooks = dict(
    checkpoint=dict(interval=4),
    logger=dict(interval=10),
    knn=dict(
        type='KNNHook',
        dataset=dict(
            type='LabelledFolder',
            data_root=None,  # the training set's
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
