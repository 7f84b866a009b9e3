"""Semi-supervised ImageNet: all of a ResNet-50 is fine-tuned on 1 % of the labels, 12811 images.

SwAV's protocol (arXiv 2006.09882; ``eval_semisup.py`` and its README): 20 epochs of 8 x 32 images, SGD with
momentum 0.9, no weight decay, learning rate 0.02 for the backbone and 5 for the classifier, times 0.2 after
12 and after 16 epochs, synchronised batch norm, tested on all of val. The images are those of SimCLR's
published list (arXiv 2002.05709); docs/transfer.md says where it has to lie.

    tools/dist_train.sh \
        configs/benchmarks/classification/semi_supervised/finetune_r50_8xb32_20e_imagenet_1pct.py 8 \
        --backbone work_dirs/clsa_r50_8xb32_200e/epoch_200.pth
"""

_base_ = '../../../_base_/linear.py'

model = dict(backbone=dict(frozen_stages=-1, norm_cfg=dict(type='SyncBN', requires_grad=True)))

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ImageNetSubset',
        data_root='data/imagenet',
        subset='meta/1percent.txt',
        pipeline=_base_.train_dataloader.dataset.pipeline,
    )
)

optim_wrapper = dict(
    optimizer=dict(lr=0.02),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=250))),  # the classifier's 5
)
param_scheduler = dict(_delete_=True, type='MultiStepLR', milestones=[12, 16], gamma=0.2)
train_cfg = dict(max_epochs=20)
