"""What the COCO configs have in common beside mmdet's own: MoCo's picture sizes, and schedules of 1x and 2x.

Two bases of a config may not hold the same setting, so these have names of their own, which each config
picks up.
"""

_base_ = 'detection.py'

coco_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomChoiceResize', scales=[(1333, side) for side in range(640, 801, 32)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
warm_up = dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000)
schedule_1x = [
    warm_up,
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1),
]
schedule_2x = [
    warm_up,
    dict(type='MultiStepLR', begin=0, end=24, by_epoch=True, milestones=[16, 22], gamma=0.1),
]
