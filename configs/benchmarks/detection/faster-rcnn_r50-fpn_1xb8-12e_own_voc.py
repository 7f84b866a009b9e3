"""Fine-tune on boxes of your own in VOC format: inherit from this file, or copy it.

What to change: data_root, which holds JPEGImages/*.jpg, Annotations/*.xml and
ImageSets/Main/{trainval,test}.txt; classes and num_classes. ``None`` stands for what the training set has
(tools/).

    python tools/train.py configs/benchmarks/detection/faster-rcnn_r50-fpn_1xb8-12e_own_voc.py \
        --backbone CHECKPOINT
"""

_base_ = '../../_base_/detection_own.py'

model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='XMLDataset',
        data_root='data/own',
        metainfo=dict(classes=('first', 'second', 'third')),
        ann_file='ImageSets/Main/trainval.txt',
        data_prefix=dict(sub_data_root=''),
        # A box without area would make the loss infinite.
        filter_cfg=dict(filter_empty_gt=True, min_size=32, bbox_min_size=1),
        pipeline=_base_.train_dataloader.dataset.pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='XMLDataset',
        data_root=None,
        metainfo=None,
        ann_file='ImageSets/Main/test.txt',
        data_prefix=dict(sub_data_root=''),
        test_mode=True,
        pipeline=_base_.val_dataloader.dataset.pipeline,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='VOCMetric', iou_thrs=[0.5, 0.75], eval_mode='area')
test_evaluator = val_evaluator
