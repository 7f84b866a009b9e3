"""SimCLR with a linear projection: one layer and BatchNorm, as in the authors' code.

Paper (arXiv 2002.05709, section 4.2): about 3 points below the default's two layers.

    tools/dist_train.sh configs/simclr/simclr-linear-head_r50_16xb256_100e.py 16
"""

_base_ = './simclr_r50_16xb256_100e.py'

model = dict(
    neck=dict(
        _delete_=True,
        type='LinearNeck',
        in_channels=2048,
        out_channels=128,
        gap_dim=2,  # global average pooling first
        norm_cfg=dict(type='SyncBN'),
    ),
)
