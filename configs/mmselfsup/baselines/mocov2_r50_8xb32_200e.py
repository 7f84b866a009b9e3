"""MoCo v2 (arXiv 2003.04297), ResNet-50, 200 epochs.

As mmselfsup configures it; only the data set is a folder of images instead of a labelled ImageNet.

tools/dist_train.sh configs/mmselfsup/baselines/mocov2_r50_8xb32_200e.py 8
"""

_base_ = 'mmselfsup::selfsup/mocov2/mocov2_resnet50_8xb32-coslr-200e_in1k.py'
custom_imports = dict(imports=['clsa_mm.integrations.mmselfsup'])

train_dataloader = dict(
    collate_fn=dict(_delete_=True, type='default_collate'),  # inherited, it would be called with a scope
    dataset=dict(type='ImageFolder', data_root='data/imagenet/train', ann_file='', data_prefix=''),
)
param_scheduler = [dict(type='CosineAnnealingLR')]  # to the end of train_cfg
auto_scale_lr = dict(base_batch_size=256, enable=False)
