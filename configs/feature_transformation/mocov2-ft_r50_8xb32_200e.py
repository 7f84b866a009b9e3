"""MoCo v2 with feature transformation, ResNet-50, 200 epochs on ImageNet.

Paper (arXiv 2108.02982, Table 8): 69.6 % linear top-1, 67.5 % without.

    tools/dist_train.sh configs/feature_transformation/mocov2-ft_r50_8xb32_200e.py 8
"""

_base_ = '../mocov2_r50_8xb32_200e.py'

model = dict(head=dict(type='FeatureTransformHead', positive_alpha=2.0, negative_alpha=1.6))
