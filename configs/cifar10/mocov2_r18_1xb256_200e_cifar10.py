"""MoCo v2, ResNet-18 with the CIFAR stem, 200 epochs on CIFAR-10: CLSA's baseline on the same budget.

python tools/train.py configs/cifar10/mocov2_r18_1xb256_200e_cifar10.py
"""

_base_ = './clsa_r18_1xb256_200e_cifar10.py'

model = dict(bank='own')
train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_views=0))))
