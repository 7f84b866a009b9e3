"""Keeps the samples of a resumed run those of its first start."""

from mmengine.hooks import DistSamplerSeedHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.datasets.from_batch import sampler_of


@HOOKS.register_module()
class SamplerSeedHook(DistSamplerSeedHook):
    """mmengine's ``DistSamplerSeedHook``, which sets the epoch, and the checkpoint's seed on a resume.

    The runner builds the data loader with its own seed before it resumes and takes over the
    checkpoint's, so without this the order and the views of the images would follow the new seed.
    """

    def before_train(self, runner: Runner) -> None:
        """Give the sampler the seed that the runner ended up with."""
        follow_seed(runner)


def follow_seed(runner: Runner) -> None:
    """Give the sampler of the training data the runner's seed, and log it where that is another."""
    sampler = sampler_of(runner.train_dataloader)
    if getattr(sampler, 'seed', runner.seed) != runner.seed:
        runner.logger.info(f'Samples follow seed {runner.seed} of the resumed run.')
        sampler.seed = runner.seed
