"""CIFAR-100: 100 kinds of objects, 50000 + 10000 images of 32 pixels, enlarged to 224.

Top-1 accuracy, as in SimCLR and BYOL.
"""

_base_ = './cifar10.py'

model = dict(head=dict(num_classes=100))
train_dataloader = dict(dataset=dict(dataset='CIFAR100', data_root='data/cifar100'))
val_dataloader = dict(dataset=dict(dataset='CIFAR100'))
test_dataloader = val_dataloader
