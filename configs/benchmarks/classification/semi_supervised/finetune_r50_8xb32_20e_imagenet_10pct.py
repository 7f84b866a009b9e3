"""Semi-supervised ImageNet with 10 % of the labels (128116 images).

SwAV's protocol as for 1 %, with learning rate 0.01 for the backbone and 0.2 for the classifier.

    tools/dist_train.sh \
        configs/benchmarks/classification/semi_supervised/finetune_r50_8xb32_20e_imagenet_10pct.py 8 \
        --backbone work_dirs/clsa_r50_8xb32_200e/epoch_200.pth
"""

_base_ = './finetune_r50_8xb32_20e_imagenet_1pct.py'

train_dataloader = dict(dataset=dict(subset='meta/10percent.txt'))
optim_wrapper = dict(
    optimizer=dict(lr=0.01),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=20))),  # the classifier's 0.2
)
