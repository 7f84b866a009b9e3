"""Mask R-CNN R50-FPN on COCO, 12 epochs: MoCo's transfer protocol (arXiv 1911.05722, section 4.2).

As for R50-C4, with synchronised batch norm in the FPN and in box and mask heads too; the box head has four
convolutions, as detectron2's config with SyncBN.

    tools/dist_train_det.sh configs/benchmarks/detection/mask-rcnn_r50-fpn_8xb2-1x_coco.py CHECKPOINT 8
"""

_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py', '../../_base_/detection_coco.py']

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
