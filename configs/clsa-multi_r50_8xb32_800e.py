"""CLSA-Multi by the paper's text, ResNet-50, 800 epochs on ImageNet.

Paper: 76.2 % linear top-1. Its authors trained on 32 GPUs, and say that the batch grows with the servers: for
that add ``--auto-scale-lr`` and 32 GPUs.

    tools/dist_train.sh configs/clsa-multi_r50_8xb32_800e.py 8
"""

_base_ = './clsa-multi_r50_8xb32_200e.py'

train_cfg = dict(max_epochs=800)
