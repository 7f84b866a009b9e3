"""Linear classifier on PASCAL VOC 2007, the paper's own protocol, as a member of the suite.

Without ``--backbone`` the backbone is random-initialised: the floor.

    python tools/train.py configs/benchmarks/classification/transfer/linear_r50_voc07.py \
        --backbone work_dirs/clsa_r50_8xb32_200e/epoch_200.pth
"""

_base_ = '../linear_r50_1xb256_100e_voc07.py'

metric = 'voc07/mAP_11point'
