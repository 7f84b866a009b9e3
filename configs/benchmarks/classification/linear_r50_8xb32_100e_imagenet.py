"""Linear evaluation on ImageNet as in the paper: 69.4 % top-1 for CLSA-Single at 200 epochs.

Without ``--backbone`` the backbone is random-initialised: the floor.

    tools/dist_train.sh configs/benchmarks/classification/linear_r50_8xb32_100e_imagenet.py 8 \
        --backbone work_dirs/clsa_r50_8xb32_200e/epoch_200.pth
"""

_base_ = '../../_base_/linear.py'
