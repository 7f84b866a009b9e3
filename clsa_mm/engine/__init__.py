"""What runs beside the model: hooks, logging back ends."""

from clsa_mm.engine.hooks import (
    FiniteGuardHook,
    HealthHook,
    KNNHook,
    LogTestMetricsHook,
    MomentumQueueHook,
    PretrainedBackboneHook,
    SamplerSeedHook,
    TrainingSummaryHook,
)
from clsa_mm.engine.log_backends import LOG_BACKENDS, add_log_backends, add_log_option

__all__ = [
    'LOG_BACKENDS',
    'FiniteGuardHook',
    'HealthHook',
    'KNNHook',
    'LogTestMetricsHook',
    'MomentumQueueHook',
    'PretrainedBackboneHook',
    'SamplerSeedHook',
    'TrainingSummaryHook',
    'add_log_backends',
    'add_log_option',
]
