"""ReSSL, ResNet-50, 200 epochs on ImageNet: the distribution of a weak key view teaches another view.

Paper (arXiv 2107.09282) and official code (KyleZheng1997/ReSSL, ``ressl.py``): 69.9 % linear top-1. Next to
CLSA the teacher is the key, whose view is only cropped and flipped, at a lower temperature; the student has
MoCo v2's augmentation; the queue alone is the bank; and there is no contrastive loss.

    tools/dist_train.sh configs/relatives/ressl_r50_8xb32_200e.py 8
"""

_base_ = '../clsa_r50_8xb32_200e.py'

model = dict(
    bank='queue',
    queue_len=131072,
    feat_dim=512,
    neck=dict(hid_channels=4096, out_channels=512),
    head=dict(
        contrastive_weight=0.0,
        teacher='key',
        teacher_temperature=0.04,
        ddm_temperature=0.1,
    ),
)

train_dataloader = dict(
    dataset=dict(
        views=dict(
            key=dict(recipe=dict(jitter_prob=0.0, grey_prob=0.0, blur_prob=0.0)),
            weak=dict(num_views=0),
            strong=dict(size=224, area=(0.2, 1.0), num_ops=0),
        ),
    ),
)

optim_wrapper = dict(
    optimizer=dict(lr=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=5, convert_to_iter_based=True),
]
