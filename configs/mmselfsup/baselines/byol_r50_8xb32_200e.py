"""BYOL (arXiv 2006.07733), ResNet-50, 200 epochs, 16 accumulated batches.

As mmselfsup configures it; only the data set is a folder of images instead of a labelled ImageNet.

tools/dist_train.sh configs/mmselfsup/baselines/byol_r50_8xb32_200e.py 8
"""

_base_ = 'mmselfsup::selfsup/byol/byol_resnet50_8xb32-accum16-coslr-200e_in1k.py'
custom_imports = dict(imports=['clsa_mm.integrations.mmselfsup'])

train_dataloader = dict(
    collate_fn=dict(_delete_=True, type='default_collate'),  # inherited, it would be called with a scope
    dataset=dict(type='ImageFolder', data_root='data/imagenet/train', ann_file='', data_prefix=''),
)
param_scheduler = [  # mmselfsup's, to the end of train_cfg
    dict(type='LinearLR', start_factor=1e-4, begin=0, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=10),
]
auto_scale_lr = dict(base_batch_size=4096, enable=False)  # 16 accumulated iterations of 256
