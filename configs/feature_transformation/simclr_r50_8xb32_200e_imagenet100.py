"""SimCLR, ResNet-50, 200 epochs on ImageNet-100: the baseline.

Paper (arXiv 2108.02982, Table 7): 74.32 % linear top-1. Batch, views and temperature are not told there:
those of configs/simclr, at batch 256. The model is SupCon without labels.

    tools/dist_train.sh configs/feature_transformation/simclr_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = '../simclr/simclr_r50_8xb32_100e.py'

model = dict(
    type='SupCon',
    supervised=False,
    head=dict(_delete_=True, type='SupConHead', temperature=0.1),
    data_preprocessor=dict(as_list=False),
)
train_dataloader = dict(dataset=dict(subfolders='imagenet100'))  # of data/imagenet/train
train_cfg = dict(max_epochs=200)
