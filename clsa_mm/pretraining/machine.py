"""What a machine offers to a training."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

_GIB = 2**30


@dataclass(frozen=True)
class MachineFacts:
    """What there is.

    Attributes:
        gpus: Number of GPUs.
        gpu_name: Name of the first, '' without one.
        gpu_gib: Memory of the smallest of them, GiB.
        bfloat16: Whether the GPUs compute in it.
        cores: CPU cores that this process may use.
        memory_gib: Memory that it may use, GiB.
    """

    gpus: int
    gpu_name: str
    gpu_gib: float
    bfloat16: bool
    cores: int
    memory_gib: float

    def __str__(self) -> str:
        gpu = f'{self.gpus} x {self.gpu_name} ({self.gpu_gib:.0f} GiB)' if self.gpus else 'no GPU'
        return f'{gpu}, {self.cores} CPU cores, {self.memory_gib:.0f} GiB of memory'


def look_at_machine() -> MachineFacts:
    """Look at this machine, and at the limits of the container that this process is in."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    properties = [torch.cuda.get_device_properties(i) for i in range(gpus)]
    return MachineFacts(
        gpus=gpus,
        gpu_name=properties[0].name if gpus else '',
        gpu_gib=min((each.total_memory for each in properties), default=0) / _GIB,
        bfloat16=bool(gpus) and torch.cuda.is_bf16_supported(including_emulation=False),
        cores=_cores(),
        memory_gib=_memory() / _GIB,
    )


def _cores() -> int:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    quota, _, period = _read('/sys/fs/cgroup/cpu.max').partition(' ')
    return max(1, min(allowed, int(quota) // int(period))) if quota.isdecimal() else allowed


def _memory() -> int:
    physical = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    limit = _read('/sys/fs/cgroup/memory.max')
    return min(physical, int(limit)) if limit.isdecimal() else physical


def _read(path: str) -> str:
    """Of a control group (version 2); '' where there is none."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ''
