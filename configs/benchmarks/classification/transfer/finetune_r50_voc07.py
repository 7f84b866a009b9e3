"""Fine-tuning on PASCAL VOC 2007, multi-label.

Without ``--backbone`` it is training from scratch.

    python tools/train.py configs/benchmarks/classification/transfer/finetune_r50_voc07.py \
        --backbone work_dirs/clsa_r50_8xb32_200e/epoch_200.pth
"""

_base_ = ['../../../_base_/transfer_datasets/voc07.py', '../../../_base_/transfer_finetune.py']

train_dataloader = dict(sampler=dict(type='InfiniteSampler', shuffle=True))
