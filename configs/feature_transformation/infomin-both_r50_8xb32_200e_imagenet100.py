"""MoCo v2 with InfoMin's augmentation and feature transformation, ResNet-50, 200 epochs on ImageNet-100.

Paper (arXiv 2108.02982, Table 7): 83.2 % linear top-1, 81.9 without. Its official code for InfoMin has a
jigsaw branch too, which is not here.

    tools/dist_train.sh configs/feature_transformation/infomin-both_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = './infomin_r50_8xb32_200e_imagenet100.py'

model = dict(head=dict(type='FeatureTransformHead', positive_alpha=2.0, negative_alpha=1.6))
