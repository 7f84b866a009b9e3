"""Fine-tune on boxes of your own in VOC format: copy this file and change the first two settings.

data_root holds JPEGImages/*.jpg, Annotations/*.xml and ImageSets/Main/{trainval,test}.txt.

    python tools/train.py configs/benchmarks/detection/faster-rcnn_r50-fpn_1xb8-12e_own_voc.py \
        --backbone CHECKPOINT
"""

_base_ = '../../_base_/detection_own.py'

data_root = 'data/own'
metainfo = dict(classes=('first', 'second', 'third'))

model = dict(roi_head=dict(bbox_head=dict(num_classes=len(metainfo['classes']))))
voc = dict(type='XMLDataset', data_root=data_root, metainfo=metainfo, data_prefix=dict(sub_data_root=''))
boxes = dict(filter_empty_gt=True, min_size=32, bbox_min_size=1)  # a box without area makes the loss infinite
trainval = dict(ann_file='ImageSets/Main/trainval.txt', filter_cfg=boxes, pipeline={{_base_.train_pipeline}})
train_dataloader = dict(dataset=dict(_delete_=True, **voc, **trainval))
test = dict(ann_file='ImageSets/Main/test.txt', test_mode=True, pipeline={{_base_.test_pipeline}})
val_dataloader = dict(dataset=dict(_delete_=True, **voc, **test))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='VOCMetric', iou_thrs=[0.5, 0.75], eval_mode='area')
test_evaluator = val_evaluator
