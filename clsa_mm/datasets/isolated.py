"""Work on items in processes of their own, of which one may die or hang without the rest."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from clsa_mm.given_numbers import check_numbers


class Outcome(NamedTuple):
    """What became of an item.

    Attributes:
        index: Of the item.
        state: ``'done'``, ``'crash'`` (its process died) or ``'hang'`` (it was killed after the time limit).
        result: What the function returned; of a crash the exit status, of a hang the seconds.
        seconds: That it took.
    """

    index: int
    state: str
    result: Any
    seconds: float


@dataclass
class _Worker:
    process: multiprocessing.Process
    pipe: Connection
    index: int = -1
    since: float = 0.0

    def give(self, index: int, item: object) -> None:
        self.index, self.since = index, time.monotonic()
        self.pipe.send(item)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def each_isolated(
    function: Callable[[Any], Any], items: Sequence, workers: int, timeout: float
) -> Iterator[Outcome]:
    """Call a function on items, in worker processes that are started anew when one dies.

    Args:
        function: Of one item; what it raises ends all, so let it return what it has to tell.
        items: What it gets, sent to the workers one by one.
        workers: Number of processes, >= 1.
        timeout: Seconds after which the process of an item is killed, > 0.

    Yields:
        An outcome for each item, as they come.

    Raises:
        ValueError: ``workers`` or ``timeout`` is out of range.
        RuntimeError: The function raised an error.
    """
    check_numbers('each_isolated', whole=True, workers=workers)
    check_numbers('each_isolated', timeout=timeout)
    if workers < 1 or not timeout > 0:
        raise ValueError(f'workers={workers} must be at least 1 and timeout={timeout} above 0')
    waiting = iter(enumerate(items))
    busy: list[_Worker] = []
    try:
        for _, (index, item) in zip(range(workers), waiting, strict=False):
            busy.append(_started(function))
            busy[-1].give(index, item)
        while busy:
            limit = min(worker.since for worker in busy) + timeout - time.monotonic()
            wait([worker.pipe for worker in busy], max(0.0, limit))
            for worker in [*busy]:
                outcome = _outcome_of(worker, timeout)
                if outcome is None:
                    continue
                yield outcome
                busy.remove(worker)
                if outcome.state != 'done':
                    worker.end()
                if (following := next(waiting, None)) is None:
                    if outcome.state == 'done':
                        worker.end()
                    continue
                busy.append(worker if outcome.state == 'done' else _started(function))
                busy[-1].give(*following)
    finally:
        for worker in busy:
            worker.end()


def _started(function: Callable[[Any], Any]) -> _Worker:
    context = multiprocessing.get_context('fork')
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(function, theirs, os.getpid()), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve(function: Callable[[Any], Any], pipe: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    while True:
        while not pipe.poll(1.0):
            if os.getppid() != parent:  # killed
                return
        item = pipe.recv()
        try:
            pipe.send(('result', function(item)))
        except Exception as error:  # goes to the caller, who raises it
            pipe.send(('error', f'{type(error).__name__}: {error}'))


def _outcome_of(worker: _Worker, timeout: float) -> Outcome | None:
    """The outcome of a worker's item, or None while it is at work."""
    seconds = time.monotonic() - worker.since
    if worker.pipe.poll():
        try:
            tag, result = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            return Outcome(worker.index, 'crash', worker.process.exitcode, seconds)
        if tag == 'error':
            raise RuntimeError(f'item {worker.index}: {result}')
        return Outcome(worker.index, 'done', result, seconds)
    return Outcome(worker.index, 'hang', timeout, seconds) if seconds >= timeout else None
