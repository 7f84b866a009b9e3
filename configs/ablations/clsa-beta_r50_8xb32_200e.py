"""CLSA-Single with half the weight of DDM, the balancing coefficient that a reviewer asked about.

Other weights: ``--cfg-options model.head.beta=0.25``, likewise 2 and 4; 1 is the paper's.

    tools/dist_train.sh configs/ablations/clsa-beta_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(head=dict(beta=0.5))
