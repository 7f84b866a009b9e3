"""What every config shares: hooks, seed, back ends.

Hooks are entries of ``default_hooks``, since a config that inherits replaces lists as a whole: change one
there by its name (``default_hooks = dict(checkpoint=dict(interval=10))``), switch one off by None.
"""

_base_ = './safety_hooks.py'

default_scope = 'mmpretrain'
custom_imports = dict(imports=['clsa_mm'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type='SamplerSeedHook'),
    summary=dict(type='TrainingSummaryHook'),
)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=1),
    # tools/ take gloo where there is no GPU; timeout: seconds that a rank waits for the others
    dist_cfg=dict(backend='nccl', timeout=600),
)

visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])

# A sample depends on (seed, epoch, index) alone; with this seed a run can be repeated and resumed exactly.
randomness = dict(seed=0, deterministic=False)

log_level = 'INFO'
log_processor = dict(window_size=10)
load_from = None
resume = False
