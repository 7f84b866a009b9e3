"""Fine-tune on boxes of your own in COCO format: inherit from this file, or copy it.

What to change: data_root, which holds annotations/{train,val}.json and the folders of images train/ and
val/; classes and num_classes. ``None`` stands for what the training set has (tools/).

    python tools/train.py configs/benchmarks/detection/faster-rcnn_r50-fpn_1xb8-12e_own_coco.py \
        --backbone CHECKPOINT
"""

_base_ = '../../_base_/detection_own.py'

model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
train_dataloader = dict(
    dataset=dict(
        data_root='data/own',
        metainfo=dict(classes=('first', 'second', 'third')),
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
    )
)
val_dataloader = dict(
    dataset=dict(data_root=None, metainfo=None, ann_file='annotations/val.json', data_prefix=dict(img='val/'))
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=None)  # that of val_dataloader.dataset
test_evaluator = val_evaluator
