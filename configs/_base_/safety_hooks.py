"""The hooks that keep a run and its resumes safe; tools/train.py adds them to configs of other libraries."""

default_hooks = dict(
    log_guard=dict(type='LogGuardHook'),
    iteration_seed=dict(type='IterationSeedHook'),
    resume_check=dict(type='ResumeCheckHook'),
    resume_position=dict(type='ResumePositionHook'),
    accumulated_gradients=dict(type='AccumulatedGradientsHook'),
    resume_learning_rate=dict(type='ResumeLearningRateHook'),
    corrupt_files=dict(type='CorruptFilesHook'),
    interrupt=dict(type='InterruptHook'),
    finite_guard=dict(type='FiniteGuardHook'),
    rank_drift=dict(type='RankDriftHook'),
    log_history=dict(type='LogHistoryHook'),
)
