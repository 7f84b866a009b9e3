"""How long a run waits for its data and for its ranks before it stops with an error."""

from mmengine.config import Config

from clsa_mm.evaluation.dataloaders import with_timeout
from clsa_mm.given_numbers import check_numbers

# Seconds that a rank waits for the others in a collective: torch's default for NCCL, here for gloo too.
GROUP_TIMEOUT = 600


def limit_waiting(cfg: Config) -> None:
    """Give the data loaders and the process group of a config time-outs, where it has none of its own.

    torch's data loader waits for its workers for ever by default. Its limit is shorter: the rank whose
    data hang is to stop before the others give it up.

    Args:
        cfg: A whole config; changed in place. ``train_dataloader.timeout`` and ``env_cfg.dist_cfg.timeout``,
            in seconds, stay as they are; a loader without workers has none.

    Raises:
        ValueError: If a loader's time-out is no number of at least 0.
    """
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name):
            check_numbers(name, low=0, timeout=cfg[name].get('timeout'))
            cfg[name] = with_timeout(cfg[name])
    if 'timeout' not in cfg.get('env_cfg', {}).get('dist_cfg', {}):
        cfg.merge_from_dict({'env_cfg.dist_cfg.timeout': GROUP_TIMEOUT})
