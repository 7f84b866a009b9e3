"""Hooks: what depends on the runner or on time."""

from clsa_mm.engine.hooks.accumulated_gradients_hook import AccumulatedGradientsHook
from clsa_mm.engine.hooks.atomic_checkpoint_hook import AtomicCheckpointHook
from clsa_mm.engine.hooks.corrupt_files_hook import CorruptFilesHook
from clsa_mm.engine.hooks.finite_guard_hook import FiniteGuardHook
from clsa_mm.engine.hooks.health_hook import HealthHook
from clsa_mm.engine.hooks.interrupt_hook import InterruptHook
from clsa_mm.engine.hooks.iteration_seed_hook import IterationSeedHook
from clsa_mm.engine.hooks.knn_hook import KNNHook
from clsa_mm.engine.hooks.linear_probe_hook import LinearProbeHook
from clsa_mm.engine.hooks.log_guard_hook import LogGuardHook
from clsa_mm.engine.hooks.log_history_hook import LogHistoryHook
from clsa_mm.engine.hooks.log_test_metrics_hook import LogTestMetricsHook
from clsa_mm.engine.hooks.momentum_queue_hook import MomentumQueueHook
from clsa_mm.engine.hooks.pretrained_backbone_hook import PretrainedBackboneHook
from clsa_mm.engine.hooks.rank_drift_hook import RankDriftHook
from clsa_mm.engine.hooks.resume_check_hook import ResumeCheckHook
from clsa_mm.engine.hooks.resume_learning_rate_hook import ResumeLearningRateHook
from clsa_mm.engine.hooks.resume_position_hook import ResumePositionHook
from clsa_mm.engine.hooks.sampler_seed_hook import SamplerSeedHook
from clsa_mm.engine.hooks.target_step_hook import TargetStepHook
from clsa_mm.engine.hooks.training_summary_hook import TrainingSummaryHook
from clsa_mm.engine.hooks.watch_hook import WatchHook

__all__ = [
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
]
