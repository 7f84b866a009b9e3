"""SupCon with a queue on CIFAR-10: MoCo v2, in which all keys of a query's class are its positives.

python tools/train.py configs/supcon/supcon-queue_r18_1xb256_200e_cifar10.py
"""

_base_ = '../cifar10/mocov2_r18_1xb256_200e_cifar10.py'

model = dict(supervised=True, head=dict(temperature=0.1))
train_dataloader = dict(dataset=dict(labels=True))
