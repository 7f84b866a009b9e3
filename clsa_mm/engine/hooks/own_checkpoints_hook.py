"""Which old checkpoints a resumed run may delete."""

import json
import os.path as osp
from pathlib import Path

from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.checkpoints.unfinished import unfinished

RECORD = 'kept_checkpoints.json'


def checkpoint_folder(work_dir: str | Path, out_dir: str | Path | None) -> Path:
    """Where ``CheckpointHook`` writes: the work dir, or a folder of its name in ``out_dir``.

    Args:
        work_dir: Of the run.
        out_dir: The hook's setting, None if it has none.
    """
    work_dir = osp.abspath(work_dir)
    if out_dir is None or str(out_dir) == work_dir:
        return Path(work_dir)
    return Path(out_dir, osp.basename(work_dir))


@HOOKS.register_module()
class OwnCheckpointsHook(Hook):
    """Keeps in the work dir which checkpoints ``CheckpointHook`` counts for its ``max_keep_ckpts``.

    mmengine takes them from the checkpoint that is resumed, and deletes the files of those numbers in the
    work dir, whoever wrote the one or the others. A resumed run takes them from its work dir, up to where it
    goes on, and none if the checkpoint comes from elsewhere; so it deletes what the run itself has written.
    The best checkpoint, which a better one replaces, is forgotten where it lies in another run's folder.
    """

    def before_train(self, runner: Runner) -> None:
        """Put the work dir's numbers in place of the checkpoint's, and forget the best of another run."""
        hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
        if not runner._resume or hook is None:
            return
        folder, source = Path(runner.work_dir), runner._load_from
        numbers = []
        if (folder / RECORD).exists() and (
            source is None or Path(source).resolve().parent == folder.resolve()
        ):
            numbers = json.loads((folder / RECORD).read_text())
        done = runner.epoch if hook.by_epoch else runner.iter
        runner.message_hub.update_info('keep_ckpt_ids', [number for number in numbers if number <= done])
        own, info = checkpoint_folder(folder, hook.out_dir).resolve(), runner.message_hub.runtime_info
        for name in [name for name in info if name.startswith('best_ckpt')]:
            if Path(str(info[name])).resolve().parent != own:
                runner.message_hub.pop_info(name)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write them down; the runner calls this in the first process alone."""
        numbers = runner.message_hub.runtime_info.get('keep_ckpt_ids', [])
        with unfinished(Path(runner.work_dir, RECORD)) as part:
            part.write_text(json.dumps(numbers))
            part.replace(Path(runner.work_dir, RECORD))
