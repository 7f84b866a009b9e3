"""CLSA-Single, ResNet-50, 200 epochs on ImageNet, in mmselfsup: its base configs with CLSA's difference.

The same training as configs/clsa_r50_8xb32_200e.py (paper, arXiv 2104.07713: 69.4 % linear top-1), with
mmselfsup's backbone, neck, data preprocessor, augmentation, hooks and visualiser. Same weights and same
inputs give the same losses.

    tools/dist_train.sh configs/mmselfsup/clsa_r50_8xb32_200e.py 8
"""

_base_ = [
    'mmselfsup::selfsup/_base_/models/mocov2.py',
    'mmselfsup::selfsup/_base_/datasets/imagenet_mocov2.py',
    'mmselfsup::selfsup/_base_/schedules/sgd_coslr-200e_in1k.py',
    'mmselfsup::selfsup/_base_/default_runtime.py',
]
custom_imports = dict(imports=['clsa_mm.integrations.mmselfsup'])

model = dict(
    type='CLSA',
    view_roles=('key', 'weak', 'strong'),
    head=dict(_delete_=True, type='DDMHead', temperature=0.2, ddm_temperature=0.2, beta=1.0),
)

# mmselfsup's view_pipeline is MoCo v2's: a crop first, then colours, blur and flip.
strong_view = [
    dict(type='RandomResizedCrop', size=96, scale=(0.086, 0.429), backend='pillow'),
    *_base_.view_pipeline[1:],
    dict(type='StrongAugment', num_ops=5, prob=0.5, policy='paper'),
]
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='SeededMultiView', num_views=[2, 1], transforms=[_base_.view_pipeline, strong_view]),
    dict(type='PackSelfSupInputs', meta_keys=['img_path']),
]
train_dataloader = dict(
    sampler=dict(type='SeededSampler'),
    collate_fn=dict(_delete_=True, type='default_collate'),  # inherited, it would be called with a scope
    dataset=dict(  # any folder of images, no labels needed
        type='ImageFolder',
        data_root='data/imagenet/train',
        ann_file='',
        data_prefix='',
        pipeline=train_pipeline,
    ),
)
auto_scale_lr = dict(base_batch_size=256, enable=False)
randomness = dict(seed=0)

default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type='SamplerSeedHook'),
    summary=dict(type='TrainingSummaryHook'),
    momentum_queue=dict(type='MomentumQueueHook'),
)
