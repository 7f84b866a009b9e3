"""A few of the random kills; ``tests/random_kills.py --kills 250`` is the whole."""

from pathlib import Path

import pytest
from child_process import run_tool

SCRIPT = Path(__file__).parent / 'random_kills.py'


@pytest.mark.slow
@pytest.mark.parametrize('processes', [1, 2])
def test_killed_runs_end_as_one_left_alone(processes: int, tmp_path: Path) -> None:
    done = run_tool(SCRIPT, '--kills', 3, '--processes', processes, '--folder', tmp_path / 'runs')
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'All ends are bit for bit that of a run left alone.' in done.stdout
