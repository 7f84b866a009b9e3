"""SimSiam with DDM, ResNet-50, batch 256, 100 epochs: distributions over the projections of the key views.

Beside configs/frameworks/simsiam_r50_8xb32_100e.py; temperature, weight and strong view are CLSA's.

    tools/dist_train.sh configs/frameworks/simsiam-ddm_r50_8xb32_100e.py 8
"""

_base_ = './simsiam_r50_8xb32_100e.py'

model = dict(
    type='SimSiamWithDDM',
    ddm=dict(type='DDMHead', ddm_temperature=0.2, beta=1.0),
    data_preprocessor=dict(as_list=False),
)
train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_views=1))))
