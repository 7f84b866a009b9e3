"""Linear evaluation on ImageNet-100, by the protocol of feature transformation (arXiv 2108.02982).

Numbers of its official ``main_linear.py``: learning rate 30 for 256 images, a tenth after 60 and 80 epochs,
crops of 0.2-1 of the area. Its command for ImageNet gives 100 epochs, the one for ImageNet-100 leaves the
default of 60, which ends before the first step (``train_cfg.max_epochs=60``). Paper, Table 7: 71.1 % top-1
for MoCo v1, 77.21 % with feature transformation. Validation images lie in class folders, too.

    tools/dist_train.sh configs/benchmarks/classification/linear_r50_8xb32_100e_imagenet100.py 8 \
        --backbone work_dirs/feature_transformation/mocov1-both_r50_8xb32_200e_imagenet100/epoch_200.pth
"""

_base_ = '../../_base_/linear.py'

model = dict(head=dict(num_classes=100))

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='LabelledFolder',
        subfolders='imagenet100',
        data_root='data/imagenet',
        data_prefix='train',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0), backend='pillow'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='LabelledFolder',
        subfolders='imagenet100',
        data_root=None,  # the training set's
        data_prefix='val',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
            dict(type='CenterCrop', crop_size=224),
            dict(type='PackInputs'),
        ],
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=30.0))
param_scheduler = dict(_delete_=True, type='MultiStepLR', milestones=[60, 80], gamma=0.1)
