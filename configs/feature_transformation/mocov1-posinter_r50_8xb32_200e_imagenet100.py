"""MoCo v1 with interpolated positives, a control, ResNet-50, 200 epochs on ImageNet-100.

Paper (arXiv 2108.02982, Table 3): 67.4 % linear top-1.

    tools/dist_train.sh configs/feature_transformation/mocov1-posinter_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = './mocov1-pos_r50_8xb32_200e_imagenet100.py'

model = dict(head=dict(positive='interpolate'))
