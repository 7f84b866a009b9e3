"""Fine-tune on boxes of your own in COCO format: copy this file and change the first two settings.

data_root holds annotations/{train,val}.json and the folders of images train/ and val/.

    python tools/train.py configs/benchmarks/detection/faster-rcnn_r50-fpn_1xb8-12e_own_coco.py \
        --backbone CHECKPOINT
"""

_base_ = '../../_base_/detection_own.py'

data_root = 'data/own'
metainfo = dict(classes=('first', 'second', 'third'))

model = dict(roi_head=dict(bbox_head=dict(num_classes=len(metainfo['classes']))))
data = dict(data_root=data_root, metainfo=metainfo)
train_dataloader = dict(
    dataset=dict(**data, ann_file='annotations/train.json', data_prefix=dict(img='train/'))
)
val_dataloader = dict(dataset=dict(**data, ann_file='annotations/val.json', data_prefix=dict(img='val/')))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f'{data_root}/annotations/val.json')
test_evaluator = val_evaluator
