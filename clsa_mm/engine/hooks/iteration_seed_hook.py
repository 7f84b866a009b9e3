"""Randomness of models and losses that a resume continues."""

import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seeds the global generators of torch (CPU and GPU), NumPy and Python before each training iteration.

    The seed is a function of the run's seed, the number of the iteration and the rank. What a model or a
    loss draws from them (dropout, stochastic depth, sampled negatives, mmpretrain's Mixup) is thus the same
    whether a run was interrupted or not, and whatever else drew random numbers in between. It needs no
    generator of its own: ``torch.rand(...)`` is resume-safe.
    """

    # Before every hook that may draw random numbers.
    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Seed the generators of all devices."""
        words = np.random.SeedSequence((runner.seed, runner.iter, get_rank())).generate_state(6)
        torch.manual_seed(int(words[0]) << 32 | int(words[1]))
        np.random.seed(words[2:4])
        random.seed(int(words[4]) << 32 | int(words[5]))
