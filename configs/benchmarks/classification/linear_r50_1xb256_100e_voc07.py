"""VOC07 classification: a linear classifier on a frozen ResNet-50, trainval to test, multi-label.

The paper (arXiv 2104.07713): SGD, learning rate 0.05, momentum 0.9, no weight decay, 100 epochs, batch
256, no schedule; 93.6 for CLSA. That figure is the official code's per-image average precision
(``voc07/per_image_ap``), not VOC's mAP (``voc07/mAP_11point``): docs/classification.md.
Augmentation, loss and initialisation are the official ``VOC_CLF/``'s; the backbone is frozen entirely,
batch norm's statistics included, and the test takes the centre crop.

    python tools/train.py configs/benchmarks/classification/linear_r50_1xb256_100e_voc07.py \
        --backbone work_dirs/clsa_r50_8xb32_200e/epoch_200.pth
"""

_base_ = '../../_base_/linear.py'

model = dict(
    head=dict(
        _delete_=True,
        type='MultiLabelLinearClsHead',
        num_classes=20,
        in_channels=2048,
        loss=dict(type='SummedBCELoss'),  # the official one, which the learning rate belongs to
    ),
    data_preprocessor=dict(num_classes=20),
)

train_dataloader = dict(
    batch_size=256,
    dataset=dict(
        _delete_=True,
        type='published_dataset',
        dataset='VOC',
        data_root='data/VOCdevkit/VOC2007',
        split='trainval',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='Resize', scale=(300, 300), backend='pillow'),  # the whole image, distorted to a square
            dict(type='NumpyToPIL', to_rgb=True),
            dict(
                type='RandomChoice',
                transforms=[
                    [dict(type='torchvision/ColorJitter', brightness=(0.8, 1.2))],
                    [dict(type='torchvision/RandomGrayscale', p=0.25)],
                ],
            ),
            dict(type='torchvision/RandomHorizontalFlip', p=0.25),
            dict(type='torchvision/RandomRotation', degrees=25),
            dict(type='PILToNumpy', to_bgr=True),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=256,
    dataset=dict(
        _delete_=True,
        type='published_dataset',
        dataset='VOC',
        data_root=None,  # the training set's
        split='test',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='ResizeEdge', scale=330, edge='short', backend='pillow'),
            dict(type='CenterCrop', crop_size=300),
            dict(type='PackInputs', meta_keys=('img_path', 'gt_label_difficult')),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='VOC07Metric', classwise=False)
test_evaluator = dict(_delete_=True, type='VOC07Metric')

optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = []  # a constant learning rate
train_cfg = dict(val_interval=10)
