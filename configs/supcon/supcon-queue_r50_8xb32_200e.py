"""SupCon with a queue, ResNet-50, 200 epochs on ImageNet, whose folders are the classes.

Paper (arXiv 2004.11362), section 4.1: memory of 8192, batch of 256, SGD, 8 GPUs: 79.1 % linear top-1, where a
batch of 6144 without memory has 78.7 %. The rest is MoCo v2's, as its author says (issue 120 of
HobbitLong/SupContrast, which remembers a temperature of 0.07 and a batch of 1024); the length is not told.

    tools/dist_train.sh configs/supcon/supcon-queue_r50_8xb32_200e.py 8
"""

_base_ = '../mocov2_r50_8xb32_200e.py'

model = dict(supervised=True, queue_len=8192, head=dict(temperature=0.1))
train_dataloader = dict(dataset=dict(labels=True))
