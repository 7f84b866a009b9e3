"""BYOL with DDM, ResNet-50, batch 4096, 200 epochs: distributions over the target's projections.

Beside configs/frameworks/byol_r50_16xb256_200e.py; temperature, weight and strong view are CLSA's.

    tools/dist_train.sh configs/frameworks/byol-ddm_r50_16xb256_200e.py 16
"""

_base_ = './byol_r50_16xb256_200e.py'

model = dict(
    type='BYOLWithDDM',
    ddm=dict(type='DDMHead', ddm_temperature=0.2, beta=1.0),
    data_preprocessor=dict(as_list=False),
)
train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_views=1))))
