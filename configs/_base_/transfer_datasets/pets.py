"""Oxford-IIIT Pets: 37 breeds of cats and dogs, 3680 + 3669 images.

Mean accuracy per class, as in SimCLR and BYOL.
"""

_base_ = '../transfer.py'

metric = 'mean_per_class/recall'

model = dict(head=dict(num_classes=37))
train_dataloader = dict(
    dataset=dict(dataset='OxfordIIITPet', data_root='data/oxford-iiit-pet', split='trainval')
)
val_dataloader = dict(dataset=dict(dataset='OxfordIIITPet', split='test'))
test_dataloader = val_dataloader
