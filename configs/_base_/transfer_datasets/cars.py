"""Stanford Cars: 196 models of cars, 8144 + 8041 images.

Top-1 accuracy, as in SimCLR and BYOL.
"""

_base_ = '../transfer.py'

model = dict(head=dict(num_classes=196))
train_dataloader = dict(dataset=dict(dataset='StanfordCars', data_root='data/stanford_cars', split='train'))
val_dataloader = dict(dataset=dict(dataset='StanfordCars', split='test'))
test_dataloader = val_dataloader
