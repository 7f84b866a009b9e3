"""Mask R-CNN R50-FPN on COCO, 12 epochs: MoCo's transfer protocol (arXiv 1911.05722, section 4.2).

As for R50-C4, with synchronised batch norm in the FPN and in box and mask heads too; the box head has four
convolutions, as detectron2's config with SyncBN.

    tools/dist_train_det.sh configs/benchmarks/detection/mask-rcnn_r50-fpn_8xb2-1x_coco.py CHECKPOINT 8
"""

_base_ = ['mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', '../../_base_/detection.py']

model = dict(
    backbone=dict(
        frozen_stages=-1, norm_cfg=dict(type='SyncBN', requires_grad=True), norm_eval=False, init_cfg=None
    ),
    neck=dict(norm_cfg=dict(type='SyncBN', requires_grad=True)),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', norm_cfg=dict(type='SyncBN', requires_grad=True)),
        mask_head=dict(norm_cfg=dict(type='SyncBN', requires_grad=True)),
    ),
)

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
