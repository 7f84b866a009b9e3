"""MoCo v1 with interpolated and original negatives, ResNet-50, 200 epochs on ImageNet-100.

Paper (arXiv 2108.02982, Table 5): 74.73 % linear top-1.

    tools/dist_train.sh configs/feature_transformation/mocov1-negqueue_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = './mocov1-neg_r50_8xb32_200e_imagenet100.py'

model = dict(head=dict(negative='append'))
