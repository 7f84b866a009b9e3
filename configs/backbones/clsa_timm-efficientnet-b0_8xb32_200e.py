"""CLSA-Single with a model of timm, EfficientNet-B0; all else as for ResNet-50. No paper has numbers for it.

The model returns its last feature map, which the projection averages.

    tools/dist_train.sh configs/backbones/clsa_timm-efficientnet-b0_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(
    backbone=dict(_delete_=True, type='TIMMBackbone', model_name='efficientnet_b0'),
    neck=dict(in_channels=1280),
)
