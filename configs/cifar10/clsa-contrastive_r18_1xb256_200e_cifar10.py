"""CLSA-Single with a contrastive loss in place of DDM, on CIFAR-10 (the row of the paper's Table 4).

python tools/train.py configs/cifar10/clsa-contrastive_r18_1xb256_200e_cifar10.py
"""

_base_ = './clsa_r18_1xb256_200e_cifar10.py'

model = dict(head=dict(_delete_=True, type='StrongContrastiveHead', temperature=0.2, beta=1.0))
