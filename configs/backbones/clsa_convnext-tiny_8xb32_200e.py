"""CLSA-Single with ConvNeXt-Tiny; optimiser and schedule are ViT-Small's. No paper has numbers for it.

The backbone pools its last feature map and normalises the result, so its features are vectors.

    tools/dist_train.sh configs/backbones/clsa_convnext-tiny_8xb32_200e.py 8
"""

_base_ = './clsa_vit-small_8xb32_200e.py'

model = dict(
    backbone=dict(_delete_=True, type='ConvNeXt', arch='tiny'),
    neck=dict(in_channels=768, with_avg_pool=False),
)
find_unused_parameters = False
