"""Running a config on a machine without a GPU."""

import mmcv.cnn  # noqa: F401  registers SyncBN
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import MODEL_WRAPPERS, MODELS
from torch.nn.modules.batchnorm import _BatchNorm

from clsa_mm.engine.process_group import restarted_by_torchrun, start_process_group


def adapt_to_machine(cfg: Config) -> None:
    """Without a GPU, make the config run on the CPU, launched or not; with one, leave it as it is.

    mmengine takes a GPU for granted when processes are launched: it selects one per process before the
    back end is up. So the gloo process group is started here, from the launcher's environment variables,
    and the runner finds it running; so is that of processes which torchrun has restarted, with a GPU too.
    Synchronised batch norm, which torch has for GPUs only, becomes plain batch norm for the rest of the
    process, whether a config or a layer's default asks for it, and the log says so; for a single process,
    mmengine's runner does the same everywhere.

    Args:
        cfg: A whole config with ``launcher`` set; changed in place.

    Raises:
        RuntimeError: For another launcher than ``none``, ``pytorch`` and ``slurm``, where there is no GPU.
    """
    started = torch.distributed.is_initialized()
    if torch.cuda.is_available():
        if cfg.launcher == 'pytorch' and restarted_by_torchrun() and not started:
            start_process_group(cfg.launcher, cfg.env_cfg.dist_cfg)
        return
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name):
            cfg[name].pin_memory = False
    if cfg.launcher == 'none':
        return
    if cfg.launcher not in ('pytorch', 'slurm'):
        raise RuntimeError(
            f'no GPU here, and --launcher {cfg.launcher} needs one: start the processes with torchrun '
            '(tools/dist_train.sh) inside the job, which works without'
        )
    _replace_sync_bn(cfg)
    _wrap_without_gpu(cfg)
    if not started:
        start_process_group(cfg.launcher, cfg.env_cfg.dist_cfg)


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
