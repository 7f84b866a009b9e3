"""Protocol of the transfer suite: the whole network is fine-tuned.

SimCLR (arXiv 2002.05709, appendix B.8), which follows Kornblith et al. (arXiv 1805.08974): 20000 steps of
256 images, SGD with Nesterov momentum 0.9, cosine to 0. They choose the learning rate among 7 values from
0.0001 to 0.1 (in equal ratios) and the weight decay among 0 and 7 values from 1e-6 to 1e-3, divided by the
learning rate, for each data set on a validation split. Here stands one point of that grid: learning rate 0.01
for 256 images, weight decay 1e-6 / 0.01. Batch norm keeps torch's momentum of 0.1, theirs for up to 25600
images.

    --cfg-options optim_wrapper.optimizer.lr=0.03 optim_wrapper.optimizer.weight_decay=0
"""

_base_ = './default_runtime.py'

# checkpoint (--backbone of tools/train.py): the pretraining checkpoint; None trains from scratch.
default_hooks = dict(
    pretrained_backbone=dict(type='PretrainedBackboneHook', checkpoint=None),
    checkpoint=dict(by_epoch=False, interval=2000, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4),
)
param_scheduler = dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False)
train_cfg = dict(by_epoch=False, max_iters=20000, val_interval=2000)
val_cfg = dict()
test_cfg = dict()
