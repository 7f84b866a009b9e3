"""What the ranks of a run know of each other: whether they answer, where they are, and why one failed."""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore

from clsa_mm.given_numbers import check_numbers


class Heartbeats:
    """A thread that writes every ``interval`` seconds where its rank is, and reads what the others write.

    They meet in the store by which the ranks found each other, torchrun's or rank 0's, over a connection of
    the thread's own. One rank, the lowest that answers, says of another that it has failed, or has not
    answered for ``patience`` seconds: a time-out of a collective names the rank that waited, not the one that
    is waited for. The thread ends nothing on account of silence. Where a rank has reported a failure, the
    others cannot go on; one that has not ended ``grace`` seconds later, as its device waits for the failed
    rank, is ended by its thread.

    Args:
        rank: This process's.
        world_size: Number of ranks; all of them make one of these.
        place: Says where this rank is, in a few words.
        say: Takes a message.
        interval: In seconds, > 0. Defaults to 2.0.
        patience: In seconds, >= 0. Defaults to 30.0.
        grace: In seconds, >= 0. Defaults to 30.0.

    Raises:
        ValueError: If a number is not as above, or the rank none of the ranks.
    """

    def __init__(
        self,
        rank: int,
        world_size: int,
        place: Callable[[], str],
        say: Callable[[str], None],
        interval: float = 2.0,
        patience: float = 30.0,
        grace: float = 30.0,
    ) -> None:
        check_numbers('Heartbeats', whole=True, low=0, rank=rank)
        check_numbers('Heartbeats', whole=True, low=1, world_size=world_size)
        check_numbers('Heartbeats', low=0, interval=interval, patience=patience, grace=grace)
        if rank >= world_size or not interval:
            raise ValueError(
                f'Heartbeats: rank={rank} must be below world_size={world_size}, and '
                f'interval={interval} above 0'
            )
        self.rank = rank
        self.interval = interval
        self.patience = patience
        self.grace = grace
        self._place = place
        self._say = say
        self._keys = [f'{each}' for each in range(world_size)]
        self._count = 0
        self._failure = ''
        self._done = False
        now = time.monotonic()
        self._heard = {
            each: dict(count=0, place='the start', failure='', done=False) for each in range(world_size)
        }
        self._when = dict.fromkeys(range(world_size), now)
        self._said: set[tuple[int, str]] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._store = _store()
        self._store_lost = False
        for each in self._keys:  # whoever comes first: reading waits for keys that do not exist
            self._store.compare_set(each, '', json.dumps(self._heard[int(each)]))
        self._thread = threading.Thread(target=self._run, name='heartbeats', daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Say that this rank has ended as it should, unless it has failed, and stop."""
        self._done = True
        self._closing.set()
        self._thread.join(timeout=self.interval + 1)
        self._turn()

    def fail(self, reason: str) -> None:
        """Tell the other ranks why this one fails, and give them the time to hear it."""
        self._failure = reason
        self._turn()
        time.sleep(1.5 * self.interval)

    def blame(self) -> str:
        """Why another rank has failed, or which does not answer; '' if neither. Takes up to 4 intervals."""
        until = time.monotonic() + 4 * self.interval
        while time.monotonic() < until:
            time.sleep(self.interval / 4)
            if failures := self._failures():
                rank, failure = failures[0]
                return f'rank {rank} failed: {failure}'
        if silent := self._silent(3 * self.interval):
            now = time.monotonic()
            return '; '.join(
                f'rank {each} has not answered for {now - self._when[each]:.0f} s, since it was in '
                f'{self._heard[each]["place"]}'
                for each in silent
            )
        if self._store_lost:
            return 'the store of the ranks, in the process of rank 0 or of torchrun, does not answer'
        return ''

    def places(self) -> str:
        """Where the other ranks are, as last heard."""
        return '; '.join(
            f'rank {each} is in {heard["place"]}' for each, heard in self._heard.items() if each != self.rank
        )

    def _run(self) -> None:
        while not self._closing.wait(self.interval):
            self._turn()
            self._tell()
            if self._failures() and not self._failure:
                self._closing.wait(self.grace)
                if not self._closing.is_set():
                    _end_process()

    def _turn(self) -> None:
        """Write and read once."""
        with self._lock:
            self._count += 1
            own = dict(count=self._count, place=self._place(), failure=self._failure, done=self._done)
            try:
                self._store.set(self._keys[self.rank], json.dumps(own))
                heard = [json.loads(value) for value in self._store.multi_get(self._keys)]
            except RuntimeError:  # of the connection
                self._store_lost = True
                return
            self._store_lost = False
            for each, value in enumerate(heard):
                if value != self._heard[each]:
                    self._heard[each], self._when[each] = value, time.monotonic()

    def _failures(self) -> list[tuple[int, str]]:
        return [
            (each, heard['failure'])
            for each, heard in self._heard.items()
            if heard['failure'] and each != self.rank
        ]

    def _silent(self, seconds: float) -> list[int]:
        if self._store_lost:
            return []
        now = time.monotonic()
        return [
            each
            for each, heard in self._heard.items()
            if now - self._when[each] > seconds and not heard['done'] and not heard['failure']
        ]

    def _tell(self) -> None:
        """Say what is new, once, if no lower rank is there to say it."""
        silent = self._silent(self.patience)
        news = {(each, f'failed: {failure}') for each, failure in self._failures()}
        news |= {
            (each, f'has not answered for {self.patience:.0f} s; it was in {self._heard[each]["place"]}')
            for each in silent
        }
        gone = {*silent, *(each for each, heard in self._heard.items() if heard['failure'] or heard['done'])}
        if self.rank == min({*self._heard} - gone | {self.rank}):
            for each, text in sorted(news - self._said):
                self._say(f'Rank {each} {text}')
        self._said = {(each, text) for each, text in self._said if each in silent} | news


def place_of_main_thread() -> str:
    """The line of code that the main thread is at: ``dataloader.py:1297 in _try_get_data``."""
    frame = sys._current_frames()[threading.main_thread().ident]
    return f'{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_name}'


def kill_children() -> None:
    """End the data workers of this process, stopped and hanging ones too."""
    signal_of_a_child = signal.SIGCHLD
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal_of_a_child, signal.SIG_DFL)  # torch would raise another error
    for child in multiprocessing.active_children():
        child.kill()


def _end_process() -> None:
    kill_children()
    sys.stderr.flush()
    os._exit(1)


def _store() -> Store:
    """The store of ``env://``, over a connection of its own: another call on one waits for the first."""
    store = TCPStore(
        os.environ['MASTER_ADDR'],
        int(os.environ['MASTER_PORT']),
        is_master=False,
        timeout=timedelta(seconds=10),
    )
    attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')
    return PrefixStore(f'clsa_mm/heartbeats/{attempt}', store)
