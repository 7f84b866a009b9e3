"""Running a config on a machine without a GPU."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import mmcv.cnn  # noqa: F401  registers SyncBN
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import MODEL_WRAPPERS, MODELS
from torch.nn.modules.batchnorm import _BatchNorm


def adapt_to_machine(cfg: Config) -> None:
    """Without a GPU, make the config run on the CPU, launched or not; with one, change nothing.

    mmengine takes a GPU for granted when processes are launched: it selects one per process before the
    back end is up. So the gloo process group is started here, from torchrun's environment variables,
    and the runner finds it running. Synchronised batch norm, which torch has for GPUs only, becomes plain
    batch norm for the rest of the process, whether a config or a layer's default asks for it, and the log
    says so; for a single process, mmengine's runner does the same everywhere.

    Args:
        cfg: A whole config with ``launcher`` set; changed in place.

    Raises:
        RuntimeError: For a launcher other than ``none`` and ``pytorch``, on a machine without a GPU.
    """
    if torch.cuda.is_available():
        return
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name):
            cfg[name].pin_memory = False
    if cfg.launcher == 'none':
        return
    if cfg.launcher != 'pytorch':
        raise RuntimeError(
            f'no GPU here, and --launcher {cfg.launcher} needs one: start the processes with torchrun '
            '(tools/dist_train.sh) inside the job, which works without'
        )
    _replace_sync_bn(cfg)
    _wrap_without_gpu(cfg)
    if not torch.distributed.is_initialized():
        _start_gloo(cfg.env_cfg.dist_cfg)


def _start_gloo(dist_cfg: Mapping[str, Any]) -> None:
    """Start the process group as mmengine's ``init_dist`` does, with all that the config says of it."""
    settings = {name: value for name, value in dist_cfg.items() if name not in ('backend', 'init_backend')}
    if settings.get('timeout') is not None:
        settings['timeout'] = timedelta(seconds=settings['timeout'])
    torch.distributed.init_process_group('gloo', **settings)


def _wrap_without_gpu(cfg: Config) -> None:
    """Keep the config's model wrapper, but for the number of a GPU, which the runner would give it."""
    unused = cfg.get('find_unused_parameters', False)
    default = dict(broadcast_buffers=False, find_unused_parameters=unused)
    wrapper = dict(type='MMDistributedDataParallel') | (cfg.get('model_wrapper_cfg') or default)
    kind = MODEL_WRAPPERS.get(wrapper['type']) if isinstance(wrapper['type'], str) else wrapper['type']
    if issubclass(kind, torch.nn.parallel.DistributedDataParallel):
        wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper


class ProcessBN(_BatchNorm):
    """Batch norm of inputs of any dimension, as synchronised batch norm takes them."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f'expected at least 2D input (got {input.dim()}D input)')


def _replace_sync_bn(cfg: Config) -> None:
    """Build ProcessBN under the names of synchronised layers: a config does not show layers' defaults."""
    cfg.pop('sync_bn', None)  # would turn all batch norm into synchronised one
    for name in ('SyncBN', 'MMSyncBN'):
        if name in MODELS.module_dict:
            MODELS.register_module(name, force=True, module=ProcessBN)
    print_log(
        "No GPU: SyncBN becomes BN throughout the model, with the statistics of each process's own batch.",
        logger='current',
    )
