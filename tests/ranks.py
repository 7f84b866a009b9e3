"""Functions run by several processes that talk to each other."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.multiprocessing as mp

WORLD = 2


def run_ranks(function: Callable, *args: object) -> None:
    """Run ``function(rank, port, *args)`` in forked processes, which need not import its file."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.start_processes(function, (port, *args), nprocs=WORLD, start_method='fork')


def start_gloo(rank: int, port: int, **settings: object) -> None:
    """Start the process group of a function that :func:`run_ranks` runs."""
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), LOCAL_RANK=str(rank))
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(WORLD))
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', rank=rank, world_size=WORLD, **settings)


# Settings of a runner in such a process.
PARALLEL = dict(
    launcher='pytorch',
    model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False),
)


def start_ranks(function: Callable, folder: Path, *args: object) -> list[mp.Process]:
    """Start ``function(rank, port, *args)`` as :func:`run_ranks`, and leave it to the caller to end them.

    What a rank prints goes to ``<folder>/<rank>.txt``.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]

    def run(rank: int) -> None:
        os.setsid()  # what it starts can be found
        sys.stdout = sys.stderr = out = Path(folder, f'{rank}.txt').open('w', buffering=1)
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        function(rank, port, *args)

    processes = [mp.get_context('fork').Process(target=run, args=(rank,)) for rank in range(WORLD)]
    for process in processes:
        process.start()
    return processes
