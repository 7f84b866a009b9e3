"""Running a config on a machine without a GPU."""

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import MODEL_WRAPPERS


def adapt_to_machine(cfg: Config) -> None:
    """Without a GPU, make the config run on the CPU, launched or not; with one, change nothing.

    mmengine takes a GPU for granted when processes are launched: it selects one per process before the
    back end is up. So the gloo process group is started here, from torchrun's environment variables,
    and the runner finds it running. Synchronised batch norm, which torch has for GPUs only, becomes plain
    batch norm, and the log says so; for a single process, mmengine's runner does the same everywhere.

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
        torch.distributed.init_process_group('gloo')


def _wrap_without_gpu(cfg: Config) -> None:
    """Keep the config's model wrapper, but for the number of a GPU, which the runner would give it."""
    unused = cfg.get('find_unused_parameters', False)
    default = dict(broadcast_buffers=False, find_unused_parameters=unused)
    wrapper = dict(type='MMDistributedDataParallel') | (cfg.get('model_wrapper_cfg') or default)
    kind = MODEL_WRAPPERS.get(wrapper['type']) if isinstance(wrapper['type'], str) else wrapper['type']
    if issubclass(kind, torch.nn.parallel.DistributedDataParallel):
        wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper


def _replace_sync_bn(cfg: Config) -> None:
    replaced = _replace_types(cfg.model, 'SyncBN', 'BN')
    if replaced:
        print_log(
            f'No GPU: SyncBN becomes BN in {replaced} place(s) of the model, with the statistics of each '
            "process's own batch.",
            logger='current',
        )


def _replace_types(node: object, old: str, new: str) -> int:
    """Give each dictionary of type `old` the type `new`, at any depth; how many there were."""
    if isinstance(node, list | tuple):
        return sum(_replace_types(value, old, new) for value in node)
    if not isinstance(node, dict):
        return 0
    replaced = sum(_replace_types(value, old, new) for value in node.values())
    if node.get('type') == old:
        node['type'] = new
        replaced += 1
    return replaced
