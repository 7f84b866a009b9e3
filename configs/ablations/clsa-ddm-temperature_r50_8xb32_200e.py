"""CLSA-Single with a temperature of its own in DDM, ``--clsa_t`` of the official command.

``model.head.teacher_temperature`` sets that of the weak views apart from that of the strong ones.

    tools/dist_train.sh configs/ablations/clsa-ddm-temperature_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(head=dict(ddm_temperature=0.1))
