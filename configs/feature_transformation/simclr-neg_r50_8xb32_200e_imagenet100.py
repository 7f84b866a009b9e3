"""SimCLR with interpolated negatives, ResNet-50, 200 epochs on ImageNet-100.

Paper (arXiv 2108.02982, Table 7): 76.71 % linear top-1.

    tools/dist_train.sh configs/feature_transformation/simclr-neg_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = './simclr_r50_8xb32_200e_imagenet100.py'

model = dict(head=dict(type='FeatureTransformBatchHead', positive=None, negative_alpha=1.6))
