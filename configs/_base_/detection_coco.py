"""What the Mask R-CNN configs on COCO share: MoCo's transfer protocol (arXiv 1911.05722, section 4.2).

Short side 640 to 800 in training and 800 in testing, 12 epochs of 117k images, which are detectron2's 90k
iterations of 16.
"""

_base_ = [
    'mmdet::_base_/datasets/coco_instance.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    'mmdet::_base_/default_runtime.py',
    'detection.py',
]

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(
                type='RandomChoiceResize',
                scales=[(1333, 640), (1333, 672), (1333, 704), (1333, 736), (1333, 768), (1333, 800)],
                keep_ratio=True,
            ),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]
    )
)
# One data_root, that of the training set, is enough: None stands for it (tools/).
val_dataloader = dict(dataset=dict(data_root=None))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=None)
test_evaluator = val_evaluator

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', milestones=[8, 11], gamma=0.1),
]
optim_wrapper = dict(optimizer=dict(lr=0.02))  # for 16 images per iteration; --auto-scale-lr scales it
auto_scale_lr = dict(base_batch_size=16)
# checkpoint (--backbone of tools/train.py): of a pretraining; None is the random-initialised floor.
default_hooks = dict(
    pretrained_backbone=dict(type='PretrainedBackboneHook', checkpoint=None),
    summary=dict(type='TrainingSummaryHook'),
)
