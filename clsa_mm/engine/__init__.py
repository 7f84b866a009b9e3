"""What runs beside the model: hooks, logging back ends."""

from clsa_mm.engine.config_bases import register_config_bases
from clsa_mm.engine.hooks import (
    AccumulatedGradientsHook,
    AtomicCheckpointHook,
    CorruptFilesHook,
    FiniteGuardHook,
    HealthHook,
    InterruptHook,
    IterationSeedHook,
    KNNHook,
    LinearProbeHook,
    LogGuardHook,
    LogHistoryHook,
    LogTestMetricsHook,
    MomentumQueueHook,
    PretrainedBackboneHook,
    RankDriftHook,
    ResumeCheckHook,
    ResumeLearningRateHook,
    ResumePositionHook,
    SamplerSeedHook,
    TargetStepHook,
    TrainingSummaryHook,
    WatchHook,
)
from clsa_mm.engine.log_backends import LOG_BACKENDS, add_log_backends

__all__ = [
    'LOG_BACKENDS',
    'AccumulatedGradientsHook',
    'AtomicCheckpointHook',
    'CorruptFilesHook',
    'FiniteGuardHook',
    'HealthHook',
    'InterruptHook',
    'IterationSeedHook',
    'KNNHook',
    'LinearProbeHook',
    'LogGuardHook',
    'LogHistoryHook',
    'LogTestMetricsHook',
    'MomentumQueueHook',
    'PretrainedBackboneHook',
    'RankDriftHook',
    'ResumeCheckHook',
    'ResumeLearningRateHook',
    'ResumePositionHook',
    'SamplerSeedHook',
    'TargetStepHook',
    'TrainingSummaryHook',
    'WatchHook',
    'add_log_backends',
]

register_config_bases()
