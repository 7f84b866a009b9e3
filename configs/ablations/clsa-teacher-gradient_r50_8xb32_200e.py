"""CLSA-Single whose DDM loss trains the weak view too.

The gradient takes a tensor of (views, batch, bank) numbers.

    tools/dist_train.sh configs/ablations/clsa-teacher-gradient_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(head=dict(teacher_gradient=True))
