"""Linear evaluation on ImageNet: a linear classifier on a frozen ResNet-50.

Arithmetic of the paper (arXiv 2104.07713): SGD, learning rate 10 for 256 images per
step, no weight decay, 100 epochs, cosine to 0. The official ``lincls.py`` ends the cosine at 0.01
(``param_scheduler.eta_min=0.01`` gives that); its momentum, augmentation and initialisation are used here.

One data_root, that of the training set, is enough: ``None`` in another data set stands for it (tools/).
"""

_base_ = './default_runtime.py'

model = dict(
    type='ImageClassifier',
    # frozen_stages=4 freezes stem and stages: no gradients, batch norm with its stored statistics.
    backbone=dict(type='ResNet', depth=50, frozen_stages=4),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=2048,
        init_cfg=dict(type='Normal', layer='Linear', std=0.01),
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
    # The pretraining's normalisation.
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
)

train_dataloader = dict(
    batch_size=32,  # per GPU; 8 GPUs make the paper's 256
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageNet',
        data_root='data/imagenet',
        split='train',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='RandomResizedCrop', scale=224, backend='pillow'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageNet',
        data_root=None,  # the training set's
        split='val',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
            dict(type='CenterCrop', crop_size=224),
            dict(type='PackInputs'),
        ],
    ),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=10.0, momentum=0.9, weight_decay=0.0))
param_scheduler = dict(type='CosineAnnealingLR', eta_min=0.0)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=256, enable=False)

# checkpoint (--backbone of tools/train.py): the pretraining checkpoint; None is the random-initialised floor.
default_hooks = dict(pretrained_backbone=dict(type='PretrainedBackboneHook', checkpoint=None))
