"""CLSA-Single with 3 strong operations: 52.8 % kNN with 20 neighbours (Table 7; 53.0 % with five).

tools/dist_train.sh configs/ablations/clsa-3-ops_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_ops=3))))
