"""SupCon, ResNet-50, 1000 epochs on CIFAR-10: the official command.

Paper (arXiv 2004.11362): 96.0 % linear top-1. ``main_supcon.py --batch_size 1024 --learning_rate 0.5
--temp 0.1 --cosine`` of HobbitLong/SupContrast, with its defaults: 10 epochs of warm-up from 0.01, then a
cosine to a thousandth of the learning rate. (There the warm-up ends on a cosine over all 1000 epochs, 0.03 %
below 0.5; here the cosine begins after it.)

    python tools/train.py configs/supcon/supcon_r50_1xb1024_1000e_cifar10.py
"""

_base_ = './supcon_r18_1xb256_200e_cifar10.py'

model = dict(
    backbone=dict(depth=50),
    neck=dict(in_channels=2048, hid_channels=2048),
)

train_dataloader = dict(batch_size=1024)
train_cfg = dict(max_epochs=1000)
optim_wrapper = dict(optimizer=dict(lr=0.5))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=10, eta_min=5e-4),
]
auto_scale_lr = dict(base_batch_size=1024)
