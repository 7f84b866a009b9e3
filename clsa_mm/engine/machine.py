"""Running a config on a machine without a GPU."""

import torch
from mmengine.config import Config


def adapt_to_machine(cfg: Config) -> None:
    """Without a GPU, make the config run on the CPU, launched or not; with one, change nothing.

    mmengine takes a GPU for granted when processes are launched: it selects one per process before the
    back end is up. So the gloo process group is started here, from torchrun's environment variables,
    and the runner finds it running.

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
    # The default wrapper would be given a GPU's number.
    cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
