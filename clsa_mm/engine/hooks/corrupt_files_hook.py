"""Goes on where an image is corrupt, and reports all such files at the end of each epoch."""

from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch.utils.data import Dataset

from clsa_mm.datasets.corrupt_files import REPORT, CorruptFile
from clsa_mm.datasets.tolerant import innermost, make_tolerant
from clsa_mm.evaluation.corrupt_report import merged, summary, write_report
from clsa_mm.given_numbers import check_numbers


@HOOKS.register_module()
class CorruptFilesHook(Hook):
    """Lets every data set of a run skip corrupt images, and lists them.

    Before the run :func:`~clsa_mm.datasets.tolerant.make_tolerant` changes the data sets of training,
    validation and test. After each epoch of training, and at the end, the files that any rank and worker has
    met, those of the KNNHook's data among them, stand in ``corrupt_files.json`` in the work dir, by data
    set and kind; a line of the log counts them, and names the first of each kind.

    Args:
        limit: Corrupt files to tolerate in a data set that does not say so itself, >= 0. Defaults to None:
            1 % of the images, at least 10.

    Raises:
        ValueError: ``limit`` is no whole number >= 0.
    """

    priority = 'LOWEST'

    def __init__(self, limit: int | None = None) -> None:
        check_numbers('CorruptFilesHook', whole=True, low=0, limit=limit)
        self.limit = limit
        self._reported: dict[str, list[CorruptFile]] = {}

    def before_run(self, runner: Runner) -> None:
        """Make the data sets tolerant."""
        for dataset in _loop_datasets(runner).values():
            make_tolerant(dataset, self.limit)

    def after_train_epoch(self, runner: Runner) -> None:
        """Write the report if there is anything new in it."""
        self._report(runner)

    def after_run(self, runner: Runner) -> None:
        """Write the last report."""
        self._report(runner)

    def _report(self, runner: Runner) -> None:
        datasets = _loop_datasets(runner)
        for hook in runner.hooks:
            datasets |= getattr(hook, 'datasets', {})
        own = {name: list(_files(dataset)) for name, dataset in datasets.items()}
        found = merged(all_gather_object(own))
        if not found or found == self._reported:
            return
        self._reported = found
        if is_main_process():
            path = Path(runner.work_dir) / REPORT
            try:
                write_report(path, found)
            except OSError as error:  # no reason to stop
                runner.logger.error(str(error))
            runner.logger.warning(f'{summary(found)} All of them: {path}')


def _loop_datasets(runner: Runner) -> dict[str, Dataset]:
    """The data sets of the loops that are built."""
    loops = dict(train=runner._train_loop, val=runner._val_loop, test=runner._test_loop)
    return {name: loop.dataloader.dataset for name, loop in loops.items() if hasattr(loop, 'dataloader')}


def _files(dataset: Dataset) -> Iterator[CorruptFile]:
    for part in innermost(dataset):
        yield from getattr(part, 'corrupt', ())
        yield from getattr(part, 'left_out', ())
