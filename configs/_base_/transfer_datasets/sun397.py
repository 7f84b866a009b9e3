"""SUN397: 397 scenes, first of the published splits, 19850 + 19850 images.

Top-1 accuracy, as in SimCLR and BYOL.
"""

_base_ = '../transfer.py'

model = dict(head=dict(num_classes=397))
train_dataloader = dict(dataset=dict(dataset='SUN397', data_root='data/SUN397', split='train'))
val_dataloader = dict(dataset=dict(dataset='SUN397', split='test'))
test_dataloader = val_dataloader
