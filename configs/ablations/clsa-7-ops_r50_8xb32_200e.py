"""CLSA-Single with 7 strong operations: 52.6 % kNN with 20 neighbours (Table 7; 53.0 % with five).

tools/dist_train.sh configs/ablations/clsa-7-ops_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_ops=7))))
