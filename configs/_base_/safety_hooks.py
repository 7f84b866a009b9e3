"""The hooks that keep a run and its resumes safe; tools/train.py adds them to configs of other libraries."""

default_hooks = dict(
    own_checkpoints=dict(type='OwnCheckpointsHook'),
    iteration_seed=dict(type='IterationSeedHook'),
    resume_position=dict(type='ResumePositionHook'),
    resume_learning_rate=dict(type='ResumeLearningRateHook'),
    corrupt_files=dict(type='CorruptFilesHook'),
    finite_guard=dict(type='FiniteGuardHook'),
)
