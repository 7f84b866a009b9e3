"""CLSA-Single with feature transformation in its contrastive loss, ResNet-50, 200 epochs on ImageNet.

No paper has it. The DDM loss compares the features as they are; positives stand apart from the negatives.

    tools/dist_train.sh configs/feature_transformation/clsa-ft_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(
    bank='own',
    head=dict(type='FeatureTransformHead', positive_alpha=2.0, negative_alpha=1.6),
)
