"""Linear classifier on Caltech-101.

Without ``--backbone`` the backbone is random-initialised: the floor.

    python tools/train.py configs/benchmarks/classification/transfer/linear_r50_caltech101.py \
        --backbone work_dirs/clsa_r50_8xb32_200e/epoch_200.pth
"""

_base_ = ['../../../_base_/transfer_datasets/caltech101.py', '../../../_base_/transfer_linear.py']

model = dict(backbone=dict(frozen_stages=4))
