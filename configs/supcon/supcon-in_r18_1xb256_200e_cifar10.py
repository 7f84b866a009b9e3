"""SupCon with the sum over positives inside the logarithm, L_in: on ImageNet 67.4, not 78.7 % in the paper.

python tools/train.py configs/supcon/supcon-in_r18_1xb256_200e_cifar10.py
"""

_base_ = './supcon_r18_1xb256_200e_cifar10.py'

model = dict(head=dict(place='in'))
