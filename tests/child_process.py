"""Tools in forked processes, which start with everything imported and leave nothing behind."""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryFile

ROOT = Path(__file__).parents[1]


def run_in_child(
    function: Callable[[], object], cwd: Path = ROOT, **environment: str
) -> CompletedProcess[str]:
    """Call a function in a process of its own.

    Args:
        function: What to call.
        cwd: The process's working folder. Defaults to the checkout.
        **environment: Further environment variables.

    Returns:
        Exit status and output, as of ``subprocess.run``.
    """
    with TemporaryFile('w+') as out, TemporaryFile('w+') as err:

        def child() -> None:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.stdout, sys.stderr = out, err  # in place of pytest's
            os.chdir(cwd)
            os.environ.pop('TORCH_FORCE_WEIGHTS_ONLY_LOAD', None)  # of conftest.py
            os.environ.update(environment)
            function()

        process = multiprocessing.get_context('fork').Process(target=child)
        process.start()
        process.join()
        out.seek(0)
        err.seek(0)
        return CompletedProcess(function, process.exitcode, out.read(), err.read())


def run_tool(
    script: str | Path, *arguments: object, cwd: Path = ROOT, **environment: str
) -> CompletedProcess[str]:
    """``python script arguments...`` in a process of its own; see :func:`run_in_child`."""

    def main() -> None:
        sys.argv = [str(script), *map(str, arguments)]
        sys.path.insert(0, str(Path(script).parent.resolve()))
        runpy.run_path(str(script), run_name='__main__')

    return run_in_child(main, cwd, **environment)
