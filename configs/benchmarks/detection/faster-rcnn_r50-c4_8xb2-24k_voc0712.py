"""Faster R-CNN R50-C4 on PASCAL VOC 07+12 trainval, tested on VOC07 test: the transfer of MoCo and CLSA.

MoCo's protocol (arXiv 1911.05722, section 4.2) and the official ``detection/`` configs: 24k steps of 16
images, short side 480 to 800 in training and 800 in testing, nothing frozen, synchronised batch norm trained
in all stages and once more after res5. docs/detection.md lists what differs from detectron2.

``voc_11points/*`` is VOC07's way to score and detectron2's for this data, ``voc_area/*`` is VOC12's. ``mAP``
is the mean of AP50, AP55, ..., AP95, which the papers call AP.

    tools/dist_train_det.sh configs/benchmarks/detection/faster-rcnn_r50-c4_8xb2-24k_voc0712.py CHECKPOINT 8
"""

_base_ = ['mmdet::pascal_voc/faster-rcnn_r50-caffe-c4_ms-18k_voc0712.py', '../../_base_/detection.py']

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

train_dataloader = dict(
    dataset=dict(
        # Without ignore_keys VOC2007 and VOC2012 cannot be joined: mmdet notes the year in their metainfo.
        ignore_keys=['dataset_type'],
        # One data_root, the first, is enough: None stands for it (tools/).
        datasets=[
            _base_.train_dataloader.dataset.datasets[0],
            dict(_base_.train_dataloader.dataset.datasets[1], data_root=None),
        ],
    )
)
val_dataloader = dict(dataset=dict(data_root=None))
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='VOCMetric',
        iou_thrs=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
        eval_mode='11points',
        prefix='voc_11points',
    ),
    dict(
        type='VOCMetric',
        iou_thrs=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
        eval_mode='area',
        prefix='voc_area',
    ),
]
test_evaluator = val_evaluator

train_cfg = dict(max_iters=24000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(type='MultiStepLR', by_epoch=False, milestones=[18000, 22000], gamma=0.1),
]
optim_wrapper = dict(optimizer=dict(lr=0.02))  # for 16 images per iteration; --auto-scale-lr scales it
auto_scale_lr = dict(base_batch_size=16)
# checkpoint (--backbone of tools/train.py): of a pretraining; None is the random-initialised floor.
default_hooks = dict(
    pretrained_backbone=dict(
        type='PretrainedBackboneHook', checkpoint=None, modules=['backbone', 'roi_head.shared_head']
    ),
    summary=dict(type='TrainingSummaryHook'),
)
