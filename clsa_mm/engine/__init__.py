"""What runs beside the model: hooks."""

from clsa_mm.engine.hooks import (
    KNNHook,
    MomentumQueueHook,
    PretrainedBackboneHook,
    SamplerSeedHook,
    TrainingSummaryHook,
)

__all__ = [
    'KNNHook',
    'MomentumQueueHook',
    'PretrainedBackboneHook',
    'SamplerSeedHook',
    'TrainingSummaryHook',
]
