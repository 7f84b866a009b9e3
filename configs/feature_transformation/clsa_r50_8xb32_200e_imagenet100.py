"""CLSA-Single, ResNet-50, 200 epochs on ImageNet-100: the baseline.

No paper has it.

    tools/dist_train.sh configs/feature_transformation/clsa_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(
    bank='own',  # as the transformations need it
    momentum=0.99,  # as the official commands for ImageNet-100
)
train_dataloader = dict(dataset=dict(subfolders='imagenet100'))  # of data/imagenet/train
