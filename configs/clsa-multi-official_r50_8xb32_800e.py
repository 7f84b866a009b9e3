"""CLSA-Multi by the authors' command, ResNet-50, 800 epochs on ImageNet.

tools/dist_train.sh configs/clsa-multi-official_r50_8xb32_800e.py 8
"""

_base_ = './clsa-multi-official_r50_8xb32_200e.py'

train_cfg = dict(max_epochs=800)
