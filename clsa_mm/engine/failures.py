"""The end of a training that cannot go on: soon, on all ranks, and naming the rank and the cause."""

import ctypes
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.distributed import DistError

from clsa_mm.engine.heartbeats import Heartbeats, kill_children, place_of_main_thread

# What is said when another rank is gone: gloo's errors are plain RuntimeErrors with its files' names.
_COMMUNICATION = re.compile(r'gloo|NCCL|TCPStore|ProcessGroup|Connection (closed|reset|refused) ?by peer')
# What torch's data loader says, and what helps.
_REMEDIES = {
    r'DataLoader worker .* killed by signal|exited unexpectedly': (
        'A data worker was killed. If the system ran out of memory (dmesg says so), lower '
        'train_dataloader.num_workers or prefetch_factor; if /dev/shm is full, enlarge it.'
    ),
    r'DataLoader timed out': (
        'No batch came from the data workers in that time: a network drive that does not answer, or a file '
        'that cannot be read to its end? train_dataloader.timeout, in seconds, lets slow ones take longer.'
    ),
}


class RankFailure(RuntimeError):
    """Another rank has failed, or does not answer."""


@contextmanager
def ending_together(runner: Runner, **settings: Any) -> Iterator[None]:
    """Train inside this, and a failure of one rank is known to all.

    A rank that fails tells the others why, and these stop with its reason instead of that of a broken
    connection. One that hangs or is killed is named by the others when they notice, which is after the
    time-out of the process group (``env_cfg.dist_cfg.timeout``) at the latest. Data workers end with their
    process, however that ends.

    Args:
        runner: Of the training, its process group up.
        **settings: Of :class:`~clsa_mm.engine.heartbeats.Heartbeats`.

    Raises:
        RankFailure: In place of an error of communication, where another rank is the cause.
    """
    bind_children()
    rank, _ = get_dist_info()
    beats = _start_heartbeats(runner, **settings)
    try:
        yield
    except Exception as error:
        kill_children()
        if beats is None:
            if remedy := _remedy(error):
                _say(remedy)
            raise
        if not _is_communication(error):
            reason = f'in iteration {runner.iter}, {_in_short(error)}'
            _say(f'Rank {rank} failed: {reason}')
            beats.fail(reason)
            raise
        if cause := beats.blame():
            raise RankFailure(f'Rank {rank} stops in iteration {runner.iter}, because {cause}') from error
        raise RankFailure(
            f'Rank {rank} stops in iteration {runner.iter}, because the others did not answer in time: '
            f'{beats.places()}'
        ) from error
    finally:
        if beats is not None:
            beats.close()


def _start_heartbeats(runner: Runner, **settings: Any) -> Heartbeats | None:
    rank, world_size = get_dist_info()
    if world_size == 1:
        return None

    def place() -> str:
        return f'iteration {runner.iter}, {place_of_main_thread()}'

    try:
        beats = Heartbeats(rank, world_size, place, _say, **settings)
    except (KeyError, DistError) as error:  # started in another way than by env://
        print_log(f'Ranks that do not answer will not be named: no store ({error!r}).', logger='current')
        return None
    beats.start()
    return beats


def bind_children() -> None:
    """Let the children that this process forks from now on, as data workers, die with it; on Linux only.

    A worker sees by itself that its parent is gone, but not while it hangs in reading a file.
    """
    global _bound
    if _bound or sys.platform != 'linux':
        return
    _bound = True
    libc = ctypes.CDLL(None)
    parent: list[int] = []

    def before() -> None:
        # The kernel looks at the thread that has forked, so that one has to last as long as the process.
        main = threading.current_thread() is threading.main_thread()
        parent[:] = [os.getpid()] if main else []

    def in_child() -> None:
        if parent:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent[0]:  # it has died meanwhile
                os._exit(1)

    os.register_at_fork(before=before, after_in_child=in_child)


_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_bound = False


def _is_communication(error: BaseException) -> bool:
    return isinstance(error, DistError) or bool(_COMMUNICATION.search(str(error)))


def _in_short(error: BaseException) -> str:
    """Kind and text of an error, and what helps, in a few lines at most."""
    text = str(error).strip()
    text = text if len(text) <= 1000 else f'{text[:500]} ... {text[-500:]}'
    remedy = _remedy(error)
    return (
        f'{type(error).__name__}: {text.rstrip(".")}. {remedy}'
        if remedy
        else f'{type(error).__name__}: {text}'
    )


def _remedy(error: BaseException) -> str:
    return next((remedy for said, remedy in _REMEDIES.items() if re.search(said, str(error))), '')


def _say(message: str) -> None:
    print_log(message, logger='current', level=logging.ERROR)  # which all ranks show
