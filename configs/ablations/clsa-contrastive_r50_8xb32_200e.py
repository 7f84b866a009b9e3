"""CLSA-Single with a contrastive loss in place of DDM: 68.0 % (Table 4 of the submission).

tools/dist_train.sh configs/ablations/clsa-contrastive_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(head=dict(_delete_=True, type='StrongContrastiveHead', temperature=0.2, beta=1.0))
