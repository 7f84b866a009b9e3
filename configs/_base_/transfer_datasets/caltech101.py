"""Caltech-101: 101 kinds of objects and background, 30 training images of each, 3060 + 6084 images.

Mean accuracy per class, as in SimCLR and BYOL. It has no published split: the lists in meta/ come from
tools/dataset_converters/caltech101_split.py, and a table says so.
"""

_base_ = '../transfer.py'

metric = 'mean_per_class/recall'

model = dict(head=dict(num_classes=102))
train_dataloader = dict(dataset=dict(dataset='Caltech101', data_root='data/caltech-101', split='train'))
val_dataloader = dict(dataset=dict(dataset='Caltech101', split='test'))
test_dataloader = val_dataloader
