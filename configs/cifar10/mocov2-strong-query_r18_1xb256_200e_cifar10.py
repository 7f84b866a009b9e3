"""MoCo v2 whose query view undergoes the strong operations, on CIFAR-10 (the row of the paper's Table 4).

python tools/train.py configs/cifar10/mocov2-strong-query_r18_1xb256_200e_cifar10.py
"""

_base_ = './mocov2_r18_1xb256_200e_cifar10.py'

train_dataloader = dict(dataset=dict(views=dict(weak=dict(num_ops=5))))
