"""`make ops`: the script that compiles mmcv's operations, with an environment that only notes its calls."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Its mmcv._ext imports once $BUILT exists; pip makes that if $PIP_BUILDS says so.
PYTHON = """#!/usr/bin/env bash
case "$*" in
"-c import torch, mmcv._ext") [[ -e $BUILT ]] || { echo "ImportError: no _ext" >&2; exit 1; } ;;
"-m pip install"*)
    echo "MMCV_WITH_OPS=${MMCV_WITH_OPS:-} $*" >>"$CALLS"
    [[ -z $PIP_BUILDS ]] || touch "$BUILT" ;;
*) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


@pytest.fixture
def run_script(tmp_path):
    checkout = tmp_path / 'checkout'
    shutil.copytree(ROOT / 'requirements', checkout / 'requirements')
    python = checkout / '.venv/bin/python'
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = os.environ | dict(BUILT=str(tmp_path / 'built'), CALLS=str(tmp_path / 'calls'))

    def run(pip_builds):
        (tmp_path / 'calls').write_text('')
        result = subprocess.run(
            ['bash', 'requirements/ops.sh', '.venv'],
            cwd=checkout,
            env=environment | dict(PIP_BUILDS=pip_builds),
            capture_output=True,
            text=True,
        )
        return result, (tmp_path / 'calls').read_text().splitlines()

    return run


def test_it_builds_the_locked_version_from_source_once(run_script):
    result, (tools, build) = run_script('yes')
    assert result.returncode == 0, result.stderr
    assert 'minutes' in result.stdout
    assert '--constraint requirements/lock.txt setuptools ninja psutil' in tools
    locked = next(
        x for x in (ROOT / 'requirements/lock.txt').read_text().split() if x.startswith('onedl-mmcv=')
    )
    assert build.startswith('MMCV_WITH_OPS=1 ')
    assert build.endswith(f'--no-cache-dir --no-build-isolation --force-reinstall --no-deps {locked}')

    result, calls = run_script('yes')
    assert (result.returncode, calls) == (0, [])
    assert 'compiled already' in result.stdout


def test_a_build_that_does_not_import_is_an_error(run_script):
    result, calls = run_script('')
    assert result.returncode == 1
    assert len(calls) == 2
    assert 'mmcv._ext does not import: ImportError: no _ext' in result.stderr
