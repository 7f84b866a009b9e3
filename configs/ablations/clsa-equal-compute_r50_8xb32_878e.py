"""CLSA-Single for as many operations as MoCo v2 takes in 1000 epochs.

The epochs follow from the cost of a step: ``tools/analysis_tools/get_cost.py``, docs/methods/clsa.md.

    tools/dist_train.sh configs/ablations/clsa-equal-compute_r50_8xb32_878e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

train_cfg = dict(max_epochs=878)
