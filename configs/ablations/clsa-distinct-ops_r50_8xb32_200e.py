"""CLSA-Single with five distinct strong operations: drawn without replacement, as a reviewer asked.

tools/dist_train.sh configs/ablations/clsa-distinct-ops_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

train_dataloader = dict(dataset=dict(views=dict(strong=dict(replacement=False))))
