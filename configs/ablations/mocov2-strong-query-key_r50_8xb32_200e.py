"""MoCo v2 with strong operations on query and key: 67.0 % (Table 4 of the submission).

tools/dist_train.sh configs/ablations/mocov2-strong-query-key_r50_8xb32_200e.py 8
"""

_base_ = '../mocov2_r50_8xb32_200e.py'

train_dataloader = dict(dataset=dict(views=dict(key=dict(num_ops=5), weak=dict(num_ops=5))))
