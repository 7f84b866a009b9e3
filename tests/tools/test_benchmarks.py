"""The benchmarks run and print what they say; their figures are not judged here."""

import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'tools'))

from benchmarks.compare import progress, table  # noqa: E402


def call(script: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, f'tools/benchmarks/{script}', *arguments],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_losses_are_the_same_in_all_ways():
    output = call('bench_losses.py', '--batch-size', '4', '--queue-len', '200', '--repeat', '1')
    losses = [float(loss) for loss in re.findall(r': loss ([\d.]+) in all three ways', output)]
    # Distributions over 204 entries, temperature 0.2, unit vectors: somewhat above ln 204 each.
    assert len(losses) == 2
    assert (5 + 25) * 5.31 < losses[0] < (5 + 25) * 5.7
    assert 2 * 5.31 < losses[1] < 2 * 5.7
    rows = re.findall(r'^ +(official|on logits|attention) +[\d.]+ ms +[\d.]+ MiB$', output, re.M)
    assert rows == ['official', 'on logits', 'attention'] * 2


def test_step_cost_prints_both_models_and_the_ratio():
    output = call('step_cost.py', '--batch-size', '2', '--steps', '1', '--queue-len', '64')
    seconds = {
        name: float(
            re.search(rf'^{name} +([\d.]+) s per step.* [\d.]+% of it no encoder$', output, re.M).group(1)
        )
        for name in ('MoCo v2', 'CLSA-Single')
    }
    ratio = float(re.search(r'^ratio +([\d.]+)', output, re.M).group(1))
    assert ratio == pytest.approx(seconds['CLSA-Single'] / seconds['MoCo v2'], rel=0.02)


def test_table():
    text = table({'floor': [(30.0, 35.5), (32.0, 36.5)], 'ours': [(50.0, 60.0), (50.0, 61.0)]})
    spread = statistics.stdev([60.0, 61.0])
    assert text.splitlines() == [
        '| backbone | kNN | linear |',
        '|---|---|---|',
        '| floor | 31.00 ± 1.41 | 36.00 ± 0.71 |',
        f'| ours | 50.00 ± 0.00 | 60.50 ± {spread:.2f} |',
    ]
    assert table({'one seed': [(1.0, 2.0)]}).endswith('| one seed | 1.00 | 2.00 |')


def test_progress_shows_what_matters():
    line = '11/22 14:04 - mmengine - INFO - Epoch(train) [1][30/31]  lr: 1e-3  time: 0.2  loss: 12.3'
    assert progress(line) == 'Epoch(train) [1][30/31]  loss: 12.3'
    assert progress('11/22 - INFO - Hooks will be executed in the following order:') is None
