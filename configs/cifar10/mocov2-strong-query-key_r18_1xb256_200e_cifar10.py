"""MoCo v2 with strong operations on query and key, on CIFAR-10 (the row of the paper's Table 4).

python tools/train.py configs/cifar10/mocov2-strong-query-key_r18_1xb256_200e_cifar10.py
"""

_base_ = './mocov2_r18_1xb256_200e_cifar10.py'

train_dataloader = dict(dataset=dict(views=dict(key=dict(num_ops=5), weak=dict(num_ops=5))))
