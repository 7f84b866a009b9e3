"""MoCo v2, ResNet-18 with the CIFAR stem, 200 epochs on CIFAR-10: CLSA's baseline on the same budget.

python tools/train.py configs/cifar10/mocov2_r18_1xb256_200e_cifar10.py
"""

_base_ = ['./clsa_r18_1xb256_200e_cifar10.py']

model = dict(view_roles=('key', 'weak'), bank='own')

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='SeededMultiView', num_views=[2], transforms=[_base_.weak_view]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
