"""SimSiam, ResNet-50, 200 epochs on ImageNet-100: the baseline.

Paper (arXiv 2108.02982, Table 7): 77.1 % linear top-1. Batch and learning rate are not told there: those of
configs/frameworks.

    tools/dist_train.sh configs/feature_transformation/simsiam_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = '../frameworks/simsiam_r50_8xb32_100e.py'

train_dataloader = dict(dataset=dict(subfolders='imagenet100'))  # of data/imagenet/train
train_cfg = dict(max_epochs=200)
