"""SwAV (arXiv 2006.09882), ResNet-50, 2 + 6 crops, 200 epochs.

As mmselfsup configures it; only the data set is a folder of images instead of a labelled ImageNet.

tools/dist_train.sh configs/mmselfsup/baselines/swav_r50_8xb32_200e.py 8
"""

_base_ = 'mmselfsup::selfsup/swav/swav_resnet50_8xb32-mcrop-2-6-coslr-200e_in1k-224-96.py'
custom_imports = dict(imports=['clsa_mm.integrations.mmselfsup'])

train_dataloader = dict(
    collate_fn=dict(_delete_=True, type='default_collate'),  # inherited, it would be called with a scope
    dataset=dict(type='ImageFolder', data_root='data/imagenet/train', ann_file='', data_prefix=''),
)
param_scheduler = [  # to the end of train_cfg
    dict(type='CosineAnnealingLR', eta_min=6e-4, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=256, enable=False)
