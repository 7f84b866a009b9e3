"""SimCLR at batch 256 by the square-root rule, 0.075 x sqrt(batch) (arXiv 2002.05709, appendix B.1).

docs/methods/frameworks.md has the learning rates of the other batch sizes.

    tools/dist_train.sh configs/simclr/simclr_r50_8xb32_100e.py 8
"""

_base_ = './simclr_r50_16xb256_100e.py'

train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=1.2))
auto_scale_lr = dict(base_batch_size=256)
