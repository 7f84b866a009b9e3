"""Protocol of the transfer suite: a linear classifier on the frozen backbone.

SGD with momentum 0.9, no weight decay, 100 epochs, cosine to 0: the linear evaluation of the paper (arXiv
2104.07713). Its learning rate of 10 for 256 images is ImageNet's; here stands 1, as these sets are smaller
(docs/transfer.md). Kornblith et al., SimCLR and BYOL fit the same classifier by L-BFGS on features of centre
crops, and choose its penalty per data set on a validation split. Choose the learning rate so, for a table:

    --cfg-options optim_wrapper.optimizer.lr=0.1
"""

_base_ = './default_runtime.py'

# checkpoint (--backbone of tools/train.py): the pretraining checkpoint; None is the random-initialised floor.
default_hooks = dict(
    pretrained_backbone=dict(type='PretrainedBackboneHook', checkpoint=None),
    checkpoint=dict(interval=10, max_keep_ckpts=1),
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1.0, momentum=0.9, weight_decay=0.0))
param_scheduler = dict(type='CosineAnnealingLR', eta_min=0.0)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=10)
val_cfg = dict()
test_cfg = dict()
