"""SwAV with DDM, ResNet-50, batch 256, 200 epochs: distributions over the prototypes.

Beside configs/frameworks/swav_r50_8xb32_200e.py; weight and strong view are CLSA's, the temperature SwAV's.

    tools/dist_train.sh configs/frameworks/swav-ddm_r50_8xb32_200e.py 8
"""

_base_ = './swav_r50_8xb32_200e.py'

model = dict(
    type='SwAVWithDDM',
    ddm=dict(type='DDMHead', ddm_temperature=0.1, beta=1.0),
    data_preprocessor=dict(as_list=False),
)
train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_views=1))))
