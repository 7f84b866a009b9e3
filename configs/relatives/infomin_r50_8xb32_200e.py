"""MoCo v2 with InfoMin's augmentation, ResNet-50, 200 epochs on ImageNet.

Official code (HobbitLong/PyContrast, ``--method InfoMin --cosine``): 70.1 % linear top-1. It has a jigsaw
branch (PIRL) too, with half of the weight, which is not here.

    tools/dist_train.sh configs/relatives/infomin_r50_8xb32_200e.py 8
"""

_base_ = '../mocov2_r50_8xb32_200e.py'

model = dict(head=dict(temperature=0.15))

train_dataloader = dict(
    dataset=dict(
        views=dict(
            key=dict(recipe=dict(type='infomin')),
            weak=dict(recipe=dict(type='infomin')),
        ),
    ),
)

param_scheduler = dict(eta_min=3e-5)
