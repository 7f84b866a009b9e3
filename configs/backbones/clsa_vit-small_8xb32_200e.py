"""CLSA-Single with ViT-Small/16, optimised as MoCo v3's ViTs (arXiv 2104.02057).

From MoCo v3: position embedding of sines and cosines, random patch projection that stays as it is
(``model.backbone.stop_grad_conv1=False`` trains it), AdamW, warm-up over 40 epochs. Its learning rate of
1.5e-4 is for 256 images per step. All else is CLSA's, also the queue and the key encoder's momentum. A
strong view of 96 pixels has 6 x 6 patches; their position embeddings are interpolated. Features are the
class token's.

    tools/dist_train.sh configs/backbones/clsa_vit-small_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MoCoV3ViT',
        arch='mocov3-small',
        img_size=224,
        patch_size=16,
        out_type='cls_token',
        stop_grad_conv1=True,
    ),
    neck=dict(in_channels=384, with_avg_pool=False),
)

optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1.5e-4, weight_decay=0.1))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=40, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=40, convert_to_iter_based=True),  # to 0 at the end of train_cfg
]
# Initialising the weights freezes the position embedding, after the model was wrapped for several GPUs.
find_unused_parameters = True
