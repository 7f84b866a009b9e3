"""The max-margin contrastive loss (Hadsell et al., 2006) on the same views, network and schedule as SupCon.

python tools/train.py configs/supcon/max-margin_r18_1xb256_200e_cifar10.py
"""

_base_ = './supcon_r18_1xb256_200e_cifar10.py'

model = dict(head=dict(_delete_=True, type='MaxMarginHead', margin=1.0))
