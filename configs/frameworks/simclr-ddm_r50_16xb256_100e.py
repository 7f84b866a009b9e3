"""SimCLR with DDM, ResNet-50, batch 4096, 100 epochs: distributions over the projections of the key views.

Beside configs/simclr/simclr_r50_16xb256_100e.py; temperature, weight and strong view are CLSA's.

    tools/dist_train.sh configs/frameworks/simclr-ddm_r50_16xb256_100e.py 16
"""

_base_ = '../simclr/simclr_r50_16xb256_100e.py'

model = dict(
    type='SimCLRWithDDM',
    ddm=dict(type='DDMHead', ddm_temperature=0.2, beta=1.0),
    data_preprocessor=dict(as_list=False),
)
train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_views=1))))
