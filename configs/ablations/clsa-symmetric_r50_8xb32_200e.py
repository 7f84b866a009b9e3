"""CLSA-Single with the symmetric loss, ``--sym 1`` of the official command ("not verified" by its README).

The key view is a query too, and the weak view its key.

    tools/dist_train.sh configs/ablations/clsa-symmetric_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(symmetric=True)
