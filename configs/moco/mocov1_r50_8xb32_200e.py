"""MoCo v1, ResNet-50, 200 epochs on ImageNet.

Paper (arXiv 1911.05722): 60.6 % linear top-1. What differs from MoCo v2: a linear projection, temperature
0.07, the augmentation, and a learning rate that falls tenfold after 120 and 160 epochs.

    tools/dist_train.sh configs/moco/mocov1_r50_8xb32_200e.py 8
"""

_base_ = '../mocov2_r50_8xb32_200e.py'

model = dict(
    neck=dict(
        _delete_=True,
        type='LinearNeck',
        in_channels=2048,
        out_channels=128,
        gap_dim=2,  # global average pooling
        norm_cfg=None,
    ),
    head=dict(temperature=0.07),
)
train_dataloader = dict(
    dataset=dict(views=dict(key=dict(recipe=dict(type='mocov1')), weak=dict(recipe=dict(type='mocov1'))))
)
param_scheduler = dict(_delete_=True, type='MultiStepLR', milestones=[120, 160], gamma=0.1)
