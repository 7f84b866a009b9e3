"""MoCo v2 with interpolated negatives, ResNet-50, 200 epochs on ImageNet-100.

Paper (arXiv 2108.02982, Table 7): 77.12 % linear top-1.

    tools/dist_train.sh configs/feature_transformation/mocov2-neg_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = './mocov2_r50_8xb32_200e_imagenet100.py'

model = dict(head=dict(type='FeatureTransformHead', positive=None, negative_alpha=1.6))
