"""SimCLR without blur, colour strength 1.

Paper (arXiv 2002.05709, Table 1): 63.2 % linear top-1.

    tools/dist_train.sh configs/simclr/simclr-no-blur_r50_16xb256_100e.py 16
"""

_base_ = './simclr_r50_16xb256_100e.py'

train_dataloader = dict(
    dataset=dict(
        views=dict(
            key=dict(recipe=dict(blur_prob=0.0)),
            weak=dict(recipe=dict(blur_prob=0.0)),
        ),
    ),
)
