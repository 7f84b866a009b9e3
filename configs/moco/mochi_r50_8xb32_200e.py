"""MoCHi on MoCo v2, ResNet-50, 200 epochs on ImageNet: synthetic negatives out of each query's hardest.

Paper (arXiv 2010.01028): MoCHi (1024, 1024, 128), that is N, s and s', without synthetic negatives in the
first 15 epochs. Table 9 of arXiv 2108.02982 has 68.0 % linear top-1 for MoCHi, without its numbers.

    tools/dist_train.sh configs/moco/mochi_r50_8xb32_200e.py 8
"""

_base_ = '../mocov2_r50_8xb32_200e.py'

model = dict(
    head=dict(type='MoCHiHead', num_hard=1024, num_mixed=1024, num_query_mixed=128, start_epoch=15),
)
