"""CLSA-Single taught by the key: a slow teacher, in place of one that is trained beside the student.

tools/dist_train.sh configs/ablations/clsa-key-teacher_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(head=dict(teacher='key'))
