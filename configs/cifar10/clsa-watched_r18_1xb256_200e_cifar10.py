"""CLSA-Single on CIFAR-10, with all that labels can tell while it trains; they change nothing of it.

kNN on weakly and strongly augmented images (the paper's figure 5) and a linear probe that learns along.

    python tools/train.py configs/cifar10/clsa-watched_r18_1xb256_200e_cifar10.py
"""

_base_ = './clsa_r18_1xb256_200e_cifar10.py'

train_dataloader = dict(dataset=dict(labels=True))
default_hooks = dict(
    knn=dict(augmented=['weak', 'strong']),
    probe=dict(type='LinearProbeHook', num_classes=10),
)
