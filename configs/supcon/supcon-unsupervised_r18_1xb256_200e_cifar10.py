"""SupCon without labels on CIFAR-10, which is SimCLR; temperature 0.5 as in the official command.

python tools/train.py configs/supcon/supcon-unsupervised_r18_1xb256_200e_cifar10.py
"""

_base_ = './supcon_r18_1xb256_200e_cifar10.py'

model = dict(supervised=False, head=dict(temperature=0.5))
train_dataloader = dict(dataset=dict(labels=False))
