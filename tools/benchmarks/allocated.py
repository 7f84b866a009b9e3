"""What a training has allocated, told by the C library in the process itself."""

import ctypes
import gc
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

_FIELDS = 'arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost'


class _Info(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in _FIELDS.split())


def allocated() -> int:
    """Bytes of this process that are in use, of all that ``malloc`` has given out.

    Freed memory that the library keeps for later is left out, and so are pages that workers share: these make
    a process's memory rise for many iterations without a leak. With ``PYTHONMALLOC=malloc`` Python's own
    objects are in it. Needs glibc 2.33.
    """
    information = ctypes.CDLL(None).mallinfo2
    information.restype = _Info
    info = information()
    return info.uordblks + info.hblkhd


@HOOKS.register_module()
class AllocatedHook(Hook):
    """Writes ``iteration bytes`` into ``allocated_RANK.txt`` of the work dir.

    Args:
        interval: Iterations between two looks, each of which collects garbage. Defaults to 10.
        leak: Bytes to lose in each iteration, to see whether that is found. Defaults to 0.
    """

    priority = 'LOWEST'

    def __init__(self, interval: int = 10, leak: int = 0) -> None:
        self.interval = interval
        self.leak = leak
        self._lost: list[bytearray] = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Look if it is time."""
        if self.leak:
            self._lost.append(bytearray(self.leak))
        if (runner.iter + 1) % self.interval == 0:
            gc.collect()
            with (Path(runner.work_dir) / f'allocated_{runner.rank}.txt').open('a') as file:
                file.write(f'{runner.iter + 1} {allocated()}\n')
