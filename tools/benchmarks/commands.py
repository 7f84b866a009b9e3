"""Commands of this repository, run one after the other, each with a folder of results of its own."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from mmengine.config import Config

from clsa_mm.checkpoints.unfinished import write_text

ROOT = Path(__file__).resolve().parents[2]


def run(title: str, *command: str) -> str:
    """Print and run a Python command of this repository, show its progress, return what it printed."""
    shown_command = shlex.join(['python', *command])
    print(f'\n== {title}\n$ {shown_command}', flush=True)
    start = time.time()
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', *command],
        cwd=ROOT,
        env={**os.environ, 'MPLBACKEND': 'Agg', 'PYTHONUNBUFFERED': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if shown := progress(line):
            print(f'   {shown}', flush=True)
    if process.wait():
        raise SystemExit(''.join(lines[-30:]) + f'\nfailed: {shown_command}')
    print(f'   done in {time.time() - start:.0f} s', flush=True)
    return ''.join(lines)


def progress(line: str) -> str | None:
    """The part of a line of a log that shows how things go, or None."""
    patterns = (
        r'(?:Epoch|Iter)\(train\).*',
        r'(?:Epoch|Iter)\(val\).*(?:accuracy|mAP).*',
        r'kNN  .*',
        r'Effective batch.*',
        r'Learning rate:.*',
        r'.*/\d+ images$',
        r'Backbone:.*',
        r'wrote .*',
    )
    for pattern in patterns:
        if match := re.search(pattern, line):
            text = re.sub(r'  (lr|time|data_time|memory|momentum): \S+', '', match.group())
            return text.strip()[:150]
    return None


def options(*parts: str) -> list[str]:
    """``--cfg-options`` with the words of all parts, or nothing."""
    words = [word for part in parts for word in shlex.split(part)]
    return ['--cfg-options', *words] if words else []


def config_sha256(cfg: Config) -> str:
    """What a config says, whatever files it is made of."""
    return sha256(repr(cfg.to_dict()).encode()).hexdigest()


def refuse_other_results(record: Path, made_by: dict[str, object]) -> None:
    """Stop where a folder holds a run, finished or not, that a command would take for its own or write over.

    Args:
        record: The JSON file in the folder that says what made its content.
        made_by: What has to be in it.

    Raises:
        SystemExit: If the folder has a run of something else, or content without a record.
    """
    folder = record.parent
    if not folder.exists() or not any(folder.iterdir()):
        return
    earlier = json.loads(record.read_text()) if record.exists() else {}
    differing = [name for name, value in made_by.items() if earlier.get(name) != value]
    if differing:
        origin = 'what no command here has written'
        if earlier:
            origin = f'a run with another {" and ".join(differing)}, of `{shlex.join(earlier["command"])}`'
        raise SystemExit(
            f'{folder.absolute()} holds {origin}. Nothing is run, so that it is not lost nor taken for new: '
            'give another --work-dir, or remove that folder.'
        )


def claim(folder: Path, command: Sequence[str]) -> None:
    """Give a folder to a command of ``tools/train.py`` whose second word is its config.

    Args:
        folder: The command's work dir.
        command: All of its words.

    Raises:
        SystemExit: As :func:`refuse_other_results`.
    """
    made_by = dict(command=list(command), config_sha256=config_sha256(Config.fromfile(command[1])))
    refuse_other_results(folder / 'command.json', made_by)
    write_text(folder / 'command.json', json.dumps(made_by, indent=1))


def remove_checkpoints(folder: Path) -> None:
    """Make way for the same training from its start: tools/train.py writes over no checkpoint.

    Args:
        folder: A work dir that :func:`claim` or :func:`refuse_other_results` let pass.
    """
    for path in folder.glob('*.pth'):
        path.unlink()
