"""Hooks: what depends on the runner or on time."""

from .knn_hook import KNNHook
from .log_test_metrics_hook import LogTestMetricsHook
from .momentum_queue_hook import MomentumQueueHook
from .pretrained_backbone_hook import PretrainedBackboneHook
from .sampler_seed_hook import SamplerSeedHook
from .training_summary_hook import TrainingSummaryHook

__all__ = [
    'KNNHook',
    'LogTestMetricsHook',
    'MomentumQueueHook',
    'PretrainedBackboneHook',
    'SamplerSeedHook',
    'TrainingSummaryHook',
]
