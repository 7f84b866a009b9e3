"""Functions run by several processes that talk to each other."""

import os
import socket
from collections.abc import Callable

import torch
import torch.multiprocessing as mp

WORLD = 2


def run_ranks(function: Callable, *args: object) -> None:
    """Run ``function(rank, port, *args)`` in forked processes, which need not import its file."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.start_processes(function, (port, *args), nprocs=WORLD, start_method='fork')


def start_gloo(rank: int, port: int) -> None:
    """Start the process group of a function that :func:`run_ranks` runs."""
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), LOCAL_RANK=str(rank))
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(WORLD))
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', rank=rank, world_size=WORLD)


# Settings of a runner in such a process.
PARALLEL = dict(
    launcher='pytorch',
    model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False),
)
