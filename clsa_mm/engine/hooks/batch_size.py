"""How many images an iteration takes."""

from mmengine.runner import Runner


def batch_size(runner: Runner) -> int:
    """Images of a process's batch."""
    loader = runner.train_dataloader
    # With a batch sampler of its own, as detection's, torch's loader says None.
    return loader.batch_size or loader.batch_sampler.batch_size


def global_batch_size(runner: Runner) -> int:
    """Images of the batches of all processes together."""
    return batch_size(runner) * runner.world_size
