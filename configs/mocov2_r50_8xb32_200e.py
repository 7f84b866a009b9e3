"""MoCo v2, ResNet-50, 200 epochs on ImageNet: the same code without the strong view and DDM.

Paper (arXiv 2003.04297): 67.5 % linear top-1; 53 h on 8 V100 by the table of arXiv 2104.07713.

    tools/dist_train.sh configs/mocov2_r50_8xb32_200e.py 8
"""

_base_ = './clsa_r50_8xb32_200e.py'

model = dict(bank='own')  # MoCo's: each query against its own key and the queue, not the batch's other keys
train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_views=0))))
