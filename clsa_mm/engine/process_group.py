"""Starting the group of processes where mmengine's runner would not."""

import os
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import torch
from torch.distributed import PrefixStore, TCPStore, default_pg_timeout

# torchrun's count of how often it has started the processes anew.
_RESTARTS = 'TORCHELASTIC_RESTART_COUNT'


def restarted_by_torchrun() -> bool:
    """Whether torchrun has started this process in place of one that ended (``--max-restarts``)."""
    shares_store = os.environ.get('TORCHELASTIC_USE_AGENT_STORE') == 'True'
    return shares_store and int(os.environ.get(_RESTARTS, 0)) > 0


def start_process_group(launcher: str, dist_cfg: Mapping[str, Any]) -> None:
    """Start the process group as mmengine's ``init_dist`` does, with all that the config says of it.

    Processes that torchrun has restarted meet in a part of its store of their own: the rest of it holds the
    addresses of those that are gone, and torch would wait for these.

    Args:
        launcher: ``'pytorch'``, or ``'slurm'`` on machines without a GPU.
        dist_cfg: ``env_cfg.dist_cfg`` of the config.
    """
    settings = {name: value for name, value in dist_cfg.items() if name not in ('init_backend', 'port')}
    if settings.get('timeout') is not None:
        settings['timeout'] = timedelta(seconds=settings['timeout'])
    if launcher == 'slurm':
        _take_over_slurm(dist_cfg.get('port'))
    elif restarted_by_torchrun():
        settings |= _own_part_of_store(settings.get('timeout') or default_pg_timeout)
    if settings['backend'] == 'nccl':
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
    torch.distributed.init_process_group(**settings)


def _own_part_of_store(timeout: timedelta) -> dict[str, Any]:
    world_size, restarts = int(os.environ['WORLD_SIZE']), os.environ[_RESTARTS]
    address = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
    store = TCPStore(*address, world_size, is_master=False, timeout=timeout)
    return dict(
        store=PrefixStore(f'restart_{restarts}', store), rank=int(os.environ['RANK']), world_size=world_size
    )


def _take_over_slurm(port: int | None) -> None:
    """Set torch's environment variables from Slurm's, as mmengine does where there is a GPU."""
    nodes = ['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']]
    if 'MASTER_ADDR' not in os.environ:
        found = subprocess.run(nodes, check=True, capture_output=True, text=True)
        os.environ['MASTER_ADDR'] = found.stdout.split()[0]
    os.environ['MASTER_PORT'] = str(port or os.environ.get('MASTER_PORT', 29500))
    for name, of_slurm in dict(WORLD_SIZE='NTASKS', RANK='PROCID', LOCAL_RANK='LOCALID').items():
        os.environ[name] = os.environ[f'SLURM_{of_slurm}']
