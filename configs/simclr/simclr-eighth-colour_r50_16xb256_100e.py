"""SimCLR without blur, an eighth of the colour strength.

Paper (arXiv 2002.05709, Table 1): 59.6 % linear top-1.

    tools/dist_train.sh configs/simclr/simclr-eighth-colour_r50_16xb256_100e.py 16
"""

_base_ = './simclr-no-blur_r50_16xb256_100e.py'

train_dataloader = dict(
    dataset=dict(
        views=dict(
            key=dict(recipe=dict(strength=0.125)),
            weak=dict(recipe=dict(strength=0.125)),
        ),
    ),
)
