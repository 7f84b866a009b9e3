"""BYOL (arXiv 2006.07733), ResNet-50, batch 4096, 200 epochs on ImageNet: mmpretrain's algorithm and recipe.

tools/dist_train.sh configs/frameworks/byol_r50_16xb256_200e.py 16
"""

_base_ = '../simclr/simclr_r50_16xb256_100e.py'

model = dict(
    type='BYOL',
    base_momentum=0.01,  # what the target takes over at the start; a cosine lowers it to 0
    backbone=dict(zero_init_residual=False),
    neck=dict(hid_channels=4096, out_channels=256, with_bias=True, with_last_bn=False),
    head=dict(
        _delete_=True,
        type='LatentPredictHead',
        loss=dict(type='CosineSimilarityLoss'),
        predictor=dict(
            type='NonLinearNeck',
            in_channels=256,
            hid_channels=4096,
            out_channels=256,
            num_layers=2,
            with_bias=True,
            with_last_bn=False,
            with_avg_pool=False,
        ),
    ),
)

train_dataloader = dict(
    dataset=dict(
        views=dict(
            key=dict(recipe=dict(type='mocov2', saturation=0.2, blur_prob=1.0)),
            weak=dict(recipe=dict(type='mocov2', saturation=0.2, blur_prob=0.1, solarize_prob=0.2)),
            strong=dict(recipe=dict(type='mocov2', saturation=0.2, blur_prob=0.1, solarize_prob=0.2)),
        ),
    ),
)

train_cfg = dict(max_epochs=200)
default_hooks = dict(target_step=dict(type='TargetStepHook'))  # right with accumulated gradients too
