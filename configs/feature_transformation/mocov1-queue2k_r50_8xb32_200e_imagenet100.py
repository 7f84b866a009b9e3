"""MoCo v1 with twice the queue, a control, ResNet-50, 200 epochs on ImageNet-100.

Paper (arXiv 2108.02982, Table 5): 71.40 % linear top-1.
The queue is longer than the 126689 images, so that images meet their own old keys; the run warns of it.

    tools/dist_train.sh configs/feature_transformation/mocov1-queue2k_r50_8xb32_200e_imagenet100.py 8
"""

_base_ = './mocov1_r50_8xb32_200e_imagenet100.py'

model = dict(queue_len=131072)
