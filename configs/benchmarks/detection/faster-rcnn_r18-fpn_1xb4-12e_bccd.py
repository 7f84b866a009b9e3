"""Blood cells (BCCD, three classes, VOC format) in some 20 minutes on one CPU core.

A small Faster R-CNN: ResNet-18, narrow FPN and heads, images of 416 x 312. All normalisation is trained, so
that a random-initialised backbone can learn too and the comparison is fair. data/bccd holds JPEGImages/,
Annotations/ and ImageSets/.

    python tools/train.py configs/benchmarks/detection/faster-rcnn_r18-fpn_1xb4-12e_bccd.py \
        --backbone CHECKPOINT
"""

_base_ = 'faster-rcnn_r50-fpn_1xb8-12e_own_voc.py'

model = dict(
    backbone=dict(depth=18),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(type='Shared2FCBBoxHead', in_channels=64, fc_out_channels=256, norm_cfg=None),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=128))),
)

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        data_root='data/bccd',
        metainfo=dict(classes=('RBC', 'WBC', 'Platelets')),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='Resize', scale=(416, 312), keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(416, 312), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
            ),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='VOCMetric', iou_thrs=[0.5, 0.75], eval_mode='area', prefix='voc_area'),
    dict(type='VOCMetric', iou_thrs=[0.5, 0.75], eval_mode='11points', prefix='voc_11points'),
]
test_evaluator = val_evaluator

train_cfg = dict(val_interval=3)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(type='MultiStepLR', milestones=[8, 11], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=4)
