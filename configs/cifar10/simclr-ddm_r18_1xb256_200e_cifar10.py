"""SimCLR with DDM, ResNet-18 with the CIFAR stem, 200 epochs on CIFAR-10: views and budget of CLSA's.

python tools/train.py configs/cifar10/simclr-ddm_r18_1xb256_200e_cifar10.py
"""

_base_ = './simclr_r18_1xb256_200e_cifar10.py'

model = dict(
    type='SimCLRWithDDM',
    ddm=dict(type='DDMHead', ddm_temperature=0.2, beta=1.0),
    data_preprocessor=dict(as_list=False),
)
train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_views=1))))
