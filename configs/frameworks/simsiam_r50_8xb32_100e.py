"""SimSiam (arXiv 2011.10566), ResNet-50, batch 256, 100 epochs on ImageNet, in mmpretrain's recipe.

tools/dist_train.sh configs/frameworks/simsiam_r50_8xb32_100e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(
    _delete_=True,
    type='SimSiam',
    backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='SyncBN'), zero_init_residual=True),
    neck=dict(
        type='NonLinearNeck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=2048,
        num_layers=3,
        with_last_bn_affine=False,
        with_avg_pool=True,
    ),
    head=dict(
        type='LatentPredictHead',
        loss=dict(type='CosineSimilarityLoss'),
        predictor=dict(
            type='NonLinearNeck',
            in_channels=2048,
            hid_channels=512,
            out_channels=2048,
            with_avg_pool=False,
            with_last_bn=False,
            with_last_bias=True,
        ),
    ),
    data_preprocessor=dict(
        type='ViewsDataPreprocessor',
        as_list=True,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
)

train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_views=0))))  # key and weak: MoCo v2's

train_cfg = dict(max_epochs=100)
optim_wrapper = dict(
    optimizer=dict(lr=0.05),
    paramwise_cfg=dict(custom_keys={'predictor': dict(fix_lr=True)}),
)

default_hooks = dict(
    momentum_queue=None,
    predictor_lr=dict(type='SimSiamHook', priority='HIGH', fix_pred_lr=True, lr=0.05),  # the optimizer's
)
