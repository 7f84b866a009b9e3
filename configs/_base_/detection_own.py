"""Faster R-CNN R50-FPN for boxes of one's own, on one GPU: what the ``*_own_*`` configs share.

mmdet's 1x schedule and MoCo's way to fine-tune: nothing is frozen and all normalisation is trained, in the
FPN and the box head too. Their scale is that of 16 images per step; 8 on one GPU get half the learning rate.
"""

_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 'detection.py']

# SyncBN is plain BN on a single GPU or a CPU.
model = dict(
    backbone=dict(
        frozen_stages=-1, norm_cfg=dict(type='SyncBN', requires_grad=True), norm_eval=False, init_cfg=None
    ),
    neck=dict(norm_cfg=dict(type='SyncBN', requires_grad=True)),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', norm_cfg=dict(type='SyncBN', requires_grad=True))
    ),
)

train_dataloader = dict(batch_size=8, num_workers=4)
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', milestones=[8, 11], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=8)
# checkpoint (--backbone of tools/train.py): of a pretraining; None is the random-initialised floor.
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=2),
    pretrained_backbone=dict(type='PretrainedBackboneHook', checkpoint=None),
    summary=dict(type='TrainingSummaryHook'),
)
