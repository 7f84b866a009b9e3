"""CLSA-Single, ResNet-50, 800 epochs on ImageNet.

tools/dist_train.sh configs/clsa_r50_8xb32_800e.py 8
"""

_base_ = ['./clsa_r50_8xb32_200e.py']

max_epochs = 800

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, begin=0, end=max_epochs)]
