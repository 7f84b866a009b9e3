"""What the transfer suite shares: ResNet-50, a linear head, 224 pixels, the two metrics.

Pictures as in SimCLR (arXiv 2002.05709, appendix B.8) and Kornblith et al. (arXiv 1805.08974): random resized
crops and flips in training, no colour augmentation; in testing the short side at 256 and a centre crop of
224, small pictures too. Normalisation is that of ImageNet, as in pretraining. A data set is a file of
transfer_datasets/, a protocol is transfer_linear.py or transfer_finetune.py.

One data_root, that of the training set, is enough: ``None`` in another data set stands for it (tools/).
"""

# The number in the table of tools/benchmarks/transfer.py: top-1, or where the sources give it the mean of
# the classes' accuracies.
metric = 'accuracy/top1'

model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=50),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=2048,
        init_cfg=dict(type='Normal', layer='Linear', std=0.01),
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
)

train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='published_dataset',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='RandomResizedCrop', scale=224, backend='pillow'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='published_dataset',
        data_root=None,  # the training set's
        pipeline=[
            dict(type='LoadImage'),
            dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
            dict(type='CenterCrop', crop_size=224),
            dict(type='PackInputs'),
        ],
    ),
)
val_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='SingleLabelMetric', items=['recall'], prefix='mean_per_class'),
]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
auto_scale_lr = dict(base_batch_size=256, enable=False)
