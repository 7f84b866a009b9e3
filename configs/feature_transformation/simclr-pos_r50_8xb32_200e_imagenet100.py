"""SimCLR with extrapolated positives, ResNet-50, 200 epochs on ImageNet-100.

Paper (arXiv 2108.02982, Table 7): 75.80 % linear top-1.

    tools/dist_train.sh configs/feature_transformation/simclr-pos_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = './simclr_r50_8xb32_200e_imagenet100.py'

model = dict(head=dict(type='FeatureTransformBatchHead', positive_alpha=2.0, negative=None))
