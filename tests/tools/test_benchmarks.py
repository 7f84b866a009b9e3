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


def test_multi_view_ddm_computes_the_same_loss_both_ways():
    output = call('multi_view_ddm.py', '--views', '3', '--queue-len', '200', '--repeat', '1')
    losses = re.findall(r'^per (?:pair|view): loss ([\d.]+)', output, re.M)
    assert len(losses) == 2
    assert float(losses[0]) == pytest.approx(float(losses[1]), abs=2e-3)
    # 9 pairs of distributions over 232 entries, temperature 0.2, unit vectors: somewhat above ln 232.
    assert 9 * 5.44 < float(losses[0]) < 9 * 5.8


def test_step_cost_prints_both_models_and_the_ratio():
    output = call('step_cost.py', '--batch-size', '2', '--steps', '1', '--queue-len', '64')
    seconds = {
        name: float(re.search(rf'^{name} +([\d.]+) s per step', output, re.M).group(1))
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
