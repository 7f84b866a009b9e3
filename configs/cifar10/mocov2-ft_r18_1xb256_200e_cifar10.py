"""MoCo v2 with feature transformation (arXiv 2108.02982), on CIFAR-10.

python tools/train.py configs/cifar10/mocov2-ft_r18_1xb256_200e_cifar10.py
"""

_base_ = './mocov2_r18_1xb256_200e_cifar10.py'

model = dict(head=dict(type='FeatureTransformHead', positive_alpha=2.0, negative_alpha=1.6))
