"""Heads that begin in the middle of a run."""

import torch
from mmengine.logging import MessageHub


@torch.compiler.disable
def has_started(start_epoch: int) -> bool:
    """Whether the run has reached an epoch, counted from 0.

    The epoch is the one that mmengine's runner keeps in its message hub, which a resume restores; outside a
    run it is 0.

    Args:
        start_epoch: First epoch in which something happens.

    Raises:
        ValueError: If the run ends before.
    """
    hub = MessageHub.get_current_instance()
    epochs = hub.get_info('max_epochs')
    if start_epoch and epochs is not None and start_epoch >= epochs:
        raise ValueError(
            f'start_epoch={start_epoch} is never reached in a run of {epochs} epochs (a run that counts '
            'iterations has one): lower model.head.start_epoch or raise train_cfg.max_epochs'
        )
    return hub.get_info('epoch', 0) >= start_epoch
