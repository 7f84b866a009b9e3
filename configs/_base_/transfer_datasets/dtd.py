"""DTD: 47 textures, first of the published splits, 3760 + 1880 images.

Top-1 accuracy, as in SimCLR and BYOL.
"""

_base_ = '../transfer.py'

model = dict(head=dict(num_classes=47))
train_dataloader = dict(dataset=dict(dataset='DTD', data_root='data/dtd', split='trainval'))
val_dataloader = dict(dataset=dict(dataset='DTD', split='test'))
test_dataloader = val_dataloader
