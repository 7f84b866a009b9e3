"""SimCLR with AutoAugment in place of colour distortion and blur.

Paper (arXiv 2002.05709, Table 1): 61.1 % linear top-1.

    tools/dist_train.sh configs/simclr/simclr-autoaugment_r50_16xb256_100e.py 16
"""

_base_ = './simclr_r50_16xb256_100e.py'

train_dataloader = dict(
    dataset=dict(
        views=dict(
            key=dict(recipe=dict(type='autoaugment')),
            weak=dict(recipe=dict(type='autoaugment')),
        ),
    ),
)
