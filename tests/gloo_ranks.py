"""Two gloo processes on this machine."""

import socket
from collections.abc import Callable

import torch.multiprocessing as mp

WORLD = 2


def run_ranks(function: Callable, *args: object) -> None:
    """Run ``function(rank, port, *args)`` in forked processes, which need not import the test's file."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.start_processes(function, (port, *args), nprocs=WORLD, start_method='fork')
