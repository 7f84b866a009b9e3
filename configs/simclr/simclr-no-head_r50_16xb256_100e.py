"""SimCLR without a projection: the loss is on the backbone's 2048 averaged features.

Paper (arXiv 2002.05709, section 4.2): more than 10 points below the default's two layers.

    tools/dist_train.sh configs/simclr/simclr-no-head_r50_16xb256_100e.py 16
"""

_base_ = './simclr_r50_16xb256_100e.py'

model = dict(neck=dict(_delete_=True, type='GlobalAveragePooling'))
