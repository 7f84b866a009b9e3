"""Mask R-CNN R50-C4 on COCO, 12 epochs: MoCo's transfer protocol (arXiv 1911.05722, section 4.2).

Nothing frozen, synchronised batch norm trained in all stages and once more after res5.

    tools/dist_train_det.sh configs/benchmarks/detection/mask-rcnn_r50-c4_8xb2-1x_coco.py CHECKPOINT 8
"""

_base_ = ['mmdet::_base_/models/mask-rcnn_r50-caffe-c4.py', '../../_base_/detection_coco.py']

model = dict(
    # The pretraining's normalisation in place of caffe's.
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        frozen_stages=-1,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        init_cfg=None,
    ),
    roi_head=dict(
        shared_head=dict(
            type='Res5ExtraNorm',
            norm_cfg=dict(type='SyncBN', requires_grad=True),
            norm_eval=False,
            style='pytorch',
            init_cfg=None,
        )
    ),
)

default_hooks = dict(pretrained_backbone=dict(modules=['backbone', 'roi_head.shared_head']))
