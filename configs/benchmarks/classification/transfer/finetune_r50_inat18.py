"""Fine-tuning on iNaturalist 2018, which is as large as ImageNet and has a schedule of its own.

As in MoCo (arXiv 1911.05722, appendix): 100 epochs (of 1709 steps of 256 images), learning rate 0.025,
divided by 10 after 70 % and 90 % of the training. Momentum and weight decay are the usual ones of ImageNet.

    python tools/train.py configs/benchmarks/classification/transfer/finetune_r50_inat18.py \
        --backbone work_dirs/clsa_r50_8xb32_200e/epoch_200.pth
"""

_base_ = ['../../../_base_/transfer_datasets/inat18.py', '../../../_base_/transfer_finetune.py']

train_dataloader = dict(sampler=dict(type='InfiniteSampler', shuffle=True))
optim_wrapper = dict(optimizer=dict(lr=0.025, nesterov=False))
param_scheduler = dict(
    _delete_=True, type='MultiStepLR', milestones=[119630, 153810], gamma=0.1, by_epoch=False
)
train_cfg = dict(max_iters=170900, val_interval=17090)
