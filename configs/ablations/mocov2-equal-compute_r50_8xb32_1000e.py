"""MoCo v2, ResNet-50, 1000 epochs: the longer budget of the comparison at equal compute.

tools/dist_train.sh configs/ablations/mocov2-equal-compute_r50_8xb32_1000e.py 8
"""

_base_ = '../mocov2_r50_8xb32_200e.py'

train_cfg = dict(max_epochs=1000)
