"""FGVC-Aircraft: 100 variants of aircraft, 6667 + 3333 images.

Mean accuracy per class, as in SimCLR and BYOL.
"""

_base_ = '../transfer.py'

metric = 'mean_per_class/recall'

model = dict(head=dict(num_classes=100))
train_dataloader = dict(
    dataset=dict(dataset='FGVCAircraft', data_root='data/fgvc-aircraft-2013b', split='trainval')
)
val_dataloader = dict(dataset=dict(dataset='FGVCAircraft', split='test'))
test_dataloader = val_dataloader
