"""CLSA-Single with feature transformation, ResNet-50, 200 epochs on ImageNet-100.

No paper has it.

    tools/dist_train.sh configs/feature_transformation/clsa-both_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = './clsa_r50_8xb32_200e_imagenet100.py'

model = dict(head=dict(type='FeatureTransformHead', positive_alpha=2.0, negative_alpha=1.6))
