"""iNaturalist 2018: 8142 species, 437513 training and 24426 validation images.

Top-1 accuracy, as in MoCo and SwAV, on the validation set: the test labels are not public.
"""

_base_ = '../transfer.py'

model = dict(head=dict(num_classes=8142))
train_dataloader = dict(
    dataset=dict(dataset='INaturalist2018', data_root='data/inaturalist2018', split='train')
)
val_dataloader = dict(dataset=dict(dataset='INaturalist2018', split='val'))
test_dataloader = val_dataloader
