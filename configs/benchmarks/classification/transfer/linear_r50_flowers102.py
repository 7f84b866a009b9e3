"""Linear classifier on Flowers-102.

Without ``--backbone`` the backbone is random-initialised: the floor.

    python tools/train.py configs/benchmarks/classification/transfer/linear_r50_flowers102.py \
        --backbone work_dirs/clsa_r50_8xb32_200e/epoch_200.pth
"""

_base_ = ['../../../_base_/transfer_datasets/flowers102.py', '../../../_base_/transfer_linear.py']

model = dict(backbone=dict(frozen_stages=4))
