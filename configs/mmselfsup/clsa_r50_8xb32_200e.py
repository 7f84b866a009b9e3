"""CLSA-Single, ResNet-50, 200 epochs on ImageNet, in mmselfsup.

The same training as configs/clsa_r50_8xb32_200e.py (paper, arXiv 2104.07713: 69.4 % linear top-1) with
mmselfsup's backbone, neck and visualiser: its scope alone differs. Same weights and same inputs give the
same losses.

    tools/dist_train.sh configs/mmselfsup/clsa_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

default_scope = 'mmselfsup'
custom_imports = dict(imports=['clsa_mm.integrations.mmselfsup'])
visualizer = dict(type='SelfSupVisualizer')
