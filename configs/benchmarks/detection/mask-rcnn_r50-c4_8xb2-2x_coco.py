"""Mask R-CNN R50-C4 on COCO, 24 epochs: detectron2's 180k iterations of the official ``detection/`` configs.

tools/dist_train_det.sh configs/benchmarks/detection/mask-rcnn_r50-c4_8xb2-2x_coco.py CHECKPOINT 8
"""

_base_ = 'mask-rcnn_r50-c4_8xb2-1x_coco.py'

train_cfg = dict(max_epochs=24)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', milestones=[16, 22], gamma=0.1),
]
