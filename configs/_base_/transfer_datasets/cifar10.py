"""CIFAR-10: 10 kinds of objects, 50000 + 10000 images of 32 pixels, enlarged to 224.

Top-1 accuracy, as in SimCLR and BYOL. Pretraining on CIFAR itself has a linear evaluation at 32 pixels.
"""

_base_ = '../transfer.py'

model = dict(head=dict(num_classes=10), data_preprocessor=dict(to_rgb=False))  # they are RGB
train_dataloader = dict(
    dataset=dict(
        dataset='CIFAR10',
        data_root='data/cifar10',
        split='train',
        download=False,
        pipeline=[  # the pixels come with the data set
            dict(type='RandomResizedCrop', scale=224, backend='pillow'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    )
)
val_dataloader = dict(
    dataset=dict(
        dataset='CIFAR10',
        split='test',
        download=False,
        pipeline=[
            dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
            dict(type='CenterCrop', crop_size=224),
            dict(type='PackInputs'),
        ],
    )
)
test_dataloader = val_dataloader
