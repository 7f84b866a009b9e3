"""Where a resumed run goes on: with the batch after the last one trained on."""

from functools import partial
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler

from clsa_mm.datasets.from_batch import sampler_of, start_at
from clsa_mm.datasets.seeded_sampler import SeededSampler
from clsa_mm.engine.hooks.batch_size import global_batch_size
from clsa_mm.engine.hooks.sampler_seed_hook import follow_seed

_REMEDY = (
    'resume from the end of an epoch (epoch_N.pth), or start a new run from these weights with '
    '--cfg-options load_from=CHECKPOINT, without --resume'
)


@HOOKS.register_module()
class ResumePositionHook(Hook):
    """Lets a run that is resumed within an epoch go on with the batch after the last one trained on.

    mmengine's loop over epochs starts the epoch of the checkpoint anew and goes on to count iterations, so
    that images repeat and the count passes ``max_iters``. Here the first epoch begins at the checkpoint's
    batch: the sampler's order is a function of seed and epoch, and the indices before that batch are dropped
    unread. With :class:`~clsa_mm.datasets.SeededSampler` the images look as in an uninterrupted run, too.
    Loops over iterations go on in the same way, where mmengine would read all images so far once more.

    Where the epochs have another length than before, through another batch size or number of images, and the
    checkpoint is of the end of one, the iterations of the epochs done are counted in the new length. What
    another number of processes with the same global batch changes is said in the log.

    Raises:
        ValueError: Before training, if the checkpoint is from within an epoch and the order of the images
            cannot be repeated, or the batch was another.
    """

    # After the runner's own bookkeeping, before what reads the number of the iteration.
    priority = 'HIGH'

    def __init__(self) -> None:
        self._meta: dict = {}
        self._written_length: int | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note how long an epoch of the checkpoint's run was, and in which batches."""
        self._meta = checkpoint.get('meta') or {}
        info = checkpoint.get('message_hub', {}).get('runtime_info', {})
        if info.get('max_epochs'):
            self._written_length = info['max_iters'] // info['max_epochs']

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note in the checkpoint how many processes share a batch of how many images."""
        checkpoint['meta'].update(world_size=runner.world_size, global_batch=global_batch_size(runner))

    def before_train(self, runner: Runner) -> None:
        """Check and take up the position."""
        loop = runner.train_loop
        if not runner.iter:
            return
        self._tell_of_other_processes(runner)
        if isinstance(loop, EpochBasedTrainLoop):
            self._take_up_epoch(runner)
        elif isinstance(loop, IterBasedTrainLoop) and _repeats_its_order(runner.train_dataloader):
            follow_seed(runner)
            loop.dataloader_iterator.skip_iter = partial(_skip, loop)

    def after_train_epoch(self, runner: Runner) -> None:
        """Count the batches of the next epoch from 0 again."""
        vars(runner.train_loop).pop('run_iter', None)

    def _take_up_epoch(self, runner: Runner) -> None:
        loop, length = runner.train_loop, len(runner.train_dataloader)
        written = self._written_length or length
        done = runner.iter - runner.epoch * written
        if done == written:
            done = length  # the epoch's last batch: its end is still to come
        elif done:
            self._require_same_batches(runner, done, written)
        iteration = runner.epoch * length + done
        if iteration != runner.iter:
            loop._iter = iteration
            runner.optim_wrapper.initialize_count_status(runner.model, runner.iter, runner.max_iters)
            runner.logger.warning(
                f'An epoch has {length} iterations now and had {written} in the run that is resumed: what is '
                f'done counts as {runner.iter} iterations.'
            )
        if done:
            follow_seed(runner)
            start_at(runner.train_dataloader, done)
            loop.run_iter = partial(_run_later, loop, done)
            runner.logger.info(f'Goes on within epoch {runner.epoch + 1}, after {done} of {length} batches.')
            if not isinstance(sampler_of(runner.train_dataloader), SeededSampler):
                runner.logger.warning(
                    'No image of this epoch repeats or is left out, but how they are augmented is drawn '
                    'anew: only samples of SeededSampler look as in an uninterrupted run.'
                )

    def _require_same_batches(self, runner: Runner, done: int, written: int) -> None:
        loader = runner.train_dataloader
        within = (
            f'The checkpoint stands at iteration {runner.iter}, which is not the end of epoch '
            f'{runner.epoch} of {written} iterations each'
        )
        if not 0 < done <= min(written, len(loader)):
            raise ValueError(f'{within}, nor within epoch {runner.epoch + 1}: {_REMEDY}.')
        if not _repeats_its_order(loader):
            raise ValueError(
                f'{within}, and {type(sampler_of(loader)).__name__} cannot repeat the order of the images in '
                'that epoch, as SeededSampler and DefaultSampler do from seed and epoch: set '
                f'train_dataloader.sampler.type=SeededSampler for the next run; for this one, {_REMEDY}.'
            )
        batch, now = self._meta.get('global_batch'), global_batch_size(runner)
        if batch != now if batch else written != len(loader):
            raise ValueError(
                f'{within}, and the batches of that epoch were of {batch or "another number of"} images in '
                f'all, not of {now}: set train_dataloader.batch_size so that batch and processes make as '
                f'many as then, or {_REMEDY}.'
            )

    def _tell_of_other_processes(self, runner: Runner) -> None:
        """Say what a resume with another number of processes keeps, and what not."""
        before, batch = self._meta.get('world_size'), self._meta.get('global_batch')
        if before in (None, runner.world_size):
            return
        now = global_batch_size(runner)
        runner.logger.warning(
            f'The run that is resumed had {before} processes and a batch of {batch} images in all; now there '
            f'are {runner.world_size} and {now}. '
            + ('The same images make each batch. ' if batch == now else 'Other images make each batch. ')
            + 'What is not as before: the order of the images within a batch, and so of new keys in the '
            'queue; the part of a batch that BatchNorm takes its statistics of; what a model draws at '
            'random, each process by its number; the order of sums.'
        )


def _repeats_its_order(loader: DataLoader) -> bool:
    """Whether a loader's batches are a function of the epoch, and can be told without their images."""
    sampler = sampler_of(loader)
    return (
        loader.batch_sampler is not None
        and not isinstance(loader.dataset, IterableDataset)
        and (hasattr(sampler, 'set_epoch') or isinstance(sampler, SequentialSampler))
    )


def _run_later(loop: EpochBasedTrainLoop, done: int, idx: int, data_batch: Any) -> None:
    """``run_iter`` of an epoch's batches from ``done`` on, by the number that they have in the epoch."""
    type(loop).run_iter(loop, idx + done, data_batch)


def _skip(loop: IterBasedTrainLoop, number: int) -> None:
    """Bring a loop over iterations, before its first, to where it stood after ``number`` batches."""
    loader, iterator = loop.dataloader, loop.dataloader_iterator
    sampler = sampler_of(loader)
    passes, first = (0, number) if isinstance(sampler, InfiniteSampler) else divmod(number, len(loader))
    if passes and hasattr(sampler, 'set_epoch'):
        sampler.set_epoch(passes)
    iterator._epoch = passes
    iterator._iterator = None
    start_at(loader, first)
