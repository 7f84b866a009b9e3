"""Which old checkpoints a resumed run may delete."""

import json
from pathlib import Path

from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from clsa_mm.checkpoints.unfinished import unfinished

RECORD = 'kept_checkpoints.json'


@HOOKS.register_module()
class OwnCheckpointsHook(Hook):
    """Keeps in the work dir which checkpoints ``CheckpointHook`` counts for its ``max_keep_ckpts``.

    mmengine takes them from the checkpoint that is resumed, and deletes the files of those numbers in the
    work dir, whoever wrote the one or the others. A resumed run takes them from its work dir, up to where it
    goes on, and none if the checkpoint comes from elsewhere; so it deletes what the run itself has written.
    """

    def before_train(self, runner: Runner) -> None:
        """Put the work dir's numbers in place of the checkpoint's."""
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

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write them down; the runner calls this in the first process alone."""
        numbers = runner.message_hub.runtime_info.get('keep_ckpt_ids', [])
        with unfinished(Path(runner.work_dir, RECORD)) as part:
            part.write_text(json.dumps(numbers))
            part.replace(Path(runner.work_dir, RECORD))
