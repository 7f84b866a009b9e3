"""MoCo v2 whose query view undergoes the strong operations: 67.7 % (Table 4 of the submission).

The crop stays MoCo v2's, 224 pixels: the paper does not say which. For CLSA's strong crop set in
``train_dataloader.dataset`` ``views.weak.size=96`` and ``views.weak.area=(0.086,0.429)``.

    tools/dist_train.sh configs/ablations/mocov2-strong-query_r50_8xb32_200e.py 8
"""

_base_ = '../mocov2_r50_8xb32_200e.py'

train_dataloader = dict(dataset=dict(views=dict(weak=dict(num_ops=5))))
