"""CLSA-Single with the strong operations of the authors' code: Identity for Invert, nine levels of magnitude.

tools/dist_train.sh configs/ablations/clsa-official-policy_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

train_dataloader = dict(dataset=dict(views=dict(strong=dict(policy='official'))))
