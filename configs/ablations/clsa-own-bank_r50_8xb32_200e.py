"""CLSA-Single by the letter of equations 1, 3 and 4: each query against its own key and the queue.

tools/dist_train.sh configs/ablations/clsa-own-bank_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(bank='own')
