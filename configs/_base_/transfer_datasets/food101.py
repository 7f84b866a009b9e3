"""Food-101: 101 dishes, 75750 + 25250 images.

Top-1 accuracy, as in SimCLR and BYOL.
"""

_base_ = '../transfer.py'

model = dict(head=dict(num_classes=101))
train_dataloader = dict(dataset=dict(dataset='Food101', data_root='data/food-101', split='train'))
val_dataloader = dict(dataset=dict(dataset='Food101', split='test'))
test_dataloader = val_dataloader
