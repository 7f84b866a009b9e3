"""The hooks that keep a run and its resumes safe; tools/train.py adds them to configs of other libraries."""

default_hooks = dict(
    own_checkpoints=dict(type='OwnCheckpointsHook'),
    iteration_seed=dict(type='IterationSeedHook'),
    resume_check=dict(type='ResumeCheckHook'),
    resume_position=dict(type='ResumePositionHook'),
    resume_learning_rate=dict(type='ResumeLearningRateHook'),
    finite_guard=dict(type='FiniteGuardHook'),
    rank_drift=dict(type='RankDriftHook'),
    log_history=dict(type='LogHistoryHook'),
)
