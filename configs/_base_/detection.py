"""What every detection config adds to mmdet's own: weights from a checkpoint, a summary, a seed.

Besides, each switches off what mmdet would download (``init_cfg=None``).
"""

custom_imports = dict(imports=['clsa_mm', 'clsa_mm.integrations.mmdet'], allow_failed_imports=False)

# checkpoint (--backbone of tools/train.py): of a pretraining; None is the random-initialised floor.
custom_hooks = [
    dict(type='PretrainedBackboneHook', checkpoint=None, modules=['backbone']),
    dict(type='TrainingSummaryHook'),
]
randomness = dict(seed=0)
