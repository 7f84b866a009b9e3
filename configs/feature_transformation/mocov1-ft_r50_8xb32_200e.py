"""MoCo v1 with feature transformation, ResNet-50, 200 epochs on ImageNet.

Paper (arXiv 2108.02982, Table 8): 61.9 % linear top-1, 60.6 % without. The alphas are the best of its tables
2 and 4, and those of the official commands.

    tools/dist_train.sh configs/feature_transformation/mocov1-ft_r50_8xb32_200e.py 8
"""

_base_ = '../moco/mocov1_r50_8xb32_200e.py'

model = dict(
    head=dict(
        type='FeatureTransformHead',
        positive='extrapolate',
        positive_alpha=2.0,
        negative='replace',
        negative_alpha=1.6,
        level='batch',
        start_epoch=0,
    )
)
