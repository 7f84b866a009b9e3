"""SimCLR with feature transformation by dimension, ResNet-50, 200 epochs on ImageNet-100.

Paper (arXiv 2108.02982, Table 7): 78.81 % linear top-1.

    tools/dist_train.sh configs/feature_transformation/simclr-bothdim_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = './simclr-both_r50_8xb32_200e_imagenet100.py'

model = dict(head=dict(level='dimension'))
