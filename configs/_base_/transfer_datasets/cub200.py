"""CUB-200-2011: 200 kinds of birds, 5994 + 5794 images.

Top-1 accuracy, the usual figure of this set.
"""

_base_ = '../transfer.py'

model = dict(head=dict(num_classes=200))
train_dataloader = dict(dataset=dict(dataset='CUB', data_root='data/CUB_200_2011', split='train'))
val_dataloader = dict(dataset=dict(dataset='CUB', split='test'))
test_dataloader = val_dataloader
