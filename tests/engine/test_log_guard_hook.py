"""A full disk takes lines from the curves and nothing else."""

import builtins
import errno
import json
import os
from pathlib import Path

import pytest
import torch
from small_training import small_runner

from clsa_mm.checkpoints.read import read_checkpoint


def test_a_run_goes_on_without_its_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_runner(tmp_path / 'with', 2, default_hooks__logger__interval=2).train()
    written, tries = builtins.open, []

    def full(path: object, mode: str = 'r', *arguments: object, **settings: object):
        if str(path).endswith('.json') and 'a' in mode:
            tries.append(path)
            if len(tries) > 2:  # the first entry goes to two files, of the others neither is tried further
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return written(path, mode, *arguments, **settings)

    monkeypatch.setattr(builtins, 'open', full)
    runner = small_runner(tmp_path / 'without', 2, default_hooks__logger__interval=2)
    runner.train()
    monkeypatch.undo()
    log = next((tmp_path / 'without').glob('*/*.log')).read_text()
    assert log.count('The curves of this run cannot be written: [Errno 28] No space left on device') == 1
    assert 'Training goes on without. Make room on the disk of' in log
    assert '5 entries of the curves could not be written' in log
    steps = {
        name: [
            json.loads(line)['step']
            for line in next((tmp_path / name).glob('*/vis_data/scalars.json')).open()
        ]
        for name in ('with', 'without')
    }
    assert steps['with'] == [2, 4, 6, 8, 10, 12] and steps['without'] == [2]
    ends = [read_checkpoint(tmp_path / name / 'epoch_2.pth')['state_dict'] for name in steps]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
