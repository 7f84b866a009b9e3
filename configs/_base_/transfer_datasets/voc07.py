"""PASCAL VOC 2007: which of 20 kinds of objects are in the picture, 5011 trainval + 4952 test images.

VOC's mean average precision by its 11-point rule, as in Kornblith et al., SimCLR and BYOL.
"""

_base_ = '../transfer.py'

metric = 'voc07/mAP_11point'

model = dict(
    head=dict(
        type='MultiLabelLinearClsHead',
        num_classes=20,
        loss=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
    ),
    data_preprocessor=dict(num_classes=20, to_onehot=True),
)
train_dataloader = dict(dataset=dict(dataset='VOC', data_root='data/VOCdevkit/VOC2007', split='trainval'))
val_dataloader = dict(
    dataset=dict(
        dataset='VOC',
        split='test',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
            dict(type='CenterCrop', crop_size=224),
            dict(type='PackInputs', meta_keys=('img_path', 'gt_label_difficult')),
        ],
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='VOC07Metric', classwise=False)
test_evaluator = dict(_delete_=True, type='VOC07Metric')
