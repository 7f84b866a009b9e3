"""Flowers-102: 102 kinds of flowers, 2040 + 6149 images.

Mean accuracy per class, as in SimCLR and BYOL.
"""

_base_ = '../transfer.py'

metric = 'mean_per_class/recall'

model = dict(head=dict(num_classes=102))
train_dataloader = dict(dataset=dict(dataset='Flowers102', data_root='data/flowers-102', split='trainval'))
val_dataloader = dict(dataset=dict(dataset='Flowers102', split='test'))
test_dataloader = val_dataloader
