"""MoCo v2 with InfoMin's augmentation, ResNet-50, 200 epochs on ImageNet-100: the baseline.

Paper (arXiv 2108.02982, Table 7): 81.9 % linear top-1. Its official code for InfoMin has a jigsaw branch too,
which is not here.

    tools/dist_train.sh configs/feature_transformation/infomin_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = '../relatives/infomin_r50_8xb32_200e.py'

model = dict(momentum=0.99)  # as the official commands for ImageNet-100
train_dataloader = dict(dataset=dict(subfolders='imagenet100'))  # of data/imagenet/train
