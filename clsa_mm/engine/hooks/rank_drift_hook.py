"""Finds ranks whose models have come apart."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_gather, get_world_size
from mmengine.hooks import Hook
from mmengine.model import MMSeparateDistributedDataParallel
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parallel import DistributedDataParallel

from clsa_mm.engine.unwrap import unwrap_model
from clsa_mm.given_numbers import check_numbers

# Views of an element's bits as integers, by its size in bytes.
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@HOOKS.register_module()
class RankDriftHook(Hook):
    """Compares parameters and buffers of all ranks, bit for bit, and stops where they differ.

    Ranks that train one model have the same weights, key encoder and queue after every iteration. Where they
    do not (a faulty device or memory, an update on some ranks alone, different files to resume from) the
    gradients are averaged over different models, and no figure shows it. Compared is a :func:`fingerprint`
    of each tensor, before the first iteration, every ``interval`` iterations and at the end of an epoch,
    before its checkpoint is written.

    The running statistics of batch norm are each rank's own and are left out, unless it is synchronised. A
    model whose parameters are spread over ranks (FSDP) is not compared.

    Args:
        interval: Iterations between two comparisons. Defaults to 100.
        ignore: Parts of the names of tensors that each rank of a model has of its own, as the counts of
            ``SeesawLoss``. Defaults to none.

    Raises:
        ValueError: If ``interval`` is less than 1.
        RuntimeError: In training, if a tensor differs; it names the tensor and the ranks.
    """

    # After MomentumQueueHook, before logging and checkpoints.
    priority = 'NORMAL'

    def __init__(self, interval: int = 100, ignore: Sequence[str] = ()) -> None:
        check_numbers('RankDriftHook', whole=True, interval=interval)
        if interval < 1:
            raise ValueError(f'RankDriftHook: interval must be at least 1 iteration, got {interval}')
        self.interval = interval
        self.ignore = tuple(ignore)

    def before_train(self, runner: Runner) -> None:
        """Compare what the ranks start with, which a resume has read from a file of each rank's."""
        self._compare(runner, 'before training')

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Compare if it is time."""
        if self.every_n_train_iters(runner, self.interval) or self.end_of_epoch(
            runner.train_dataloader, batch_idx
        ):
            self._compare(runner, f'after iteration {runner.iter}')

    def _compare(self, runner: Runner, when: str) -> None:
        replicated = isinstance(runner.model, DistributedDataParallel | MMSeparateDistributedDataParallel)
        if get_world_size() == 1 or not replicated:
            return
        tensors = {
            name: tensor
            for name, tensor in replicated_tensors(unwrap_model(runner.model)).items()
            if not any(part in name for part in self.ignore)
        }
        own = torch.stack([fingerprint(tensor) for tensor in tensors.values()])
        ranks = torch.stack([prints.to(own.device) for prints in all_gather(own)])
        differs = ranks != ranks[0]
        if not differs.any():  # on all ranks alike
            return
        names = [name for name, bad in zip(tensors, differs.any(dim=0).tolist(), strict=True) if bad]
        others = differs.any(dim=1).nonzero().flatten().tolist()
        more = f' and {len(names) - 1} more' if len(names) > 1 else ''
        raise RuntimeError(
            f'{names[0]}{more} of rank {", ".join(map(str, others))} differ from those of rank 0 {when}: the '
            'ranks no longer train one model. Continue with --resume from a checkpoint of before, and if it '
            'happens again, look for an update that only some ranks make, or a faulty device. What each rank '
            'is to have of its own, default_hooks.rank_drift.ignore may name.'
        )


def replicated_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, by name, that every rank has alike.

    Args:
        model: Not wrapped.
    """
    own = {
        id(buffer)
        for layer in model.modules()
        if isinstance(layer, _NormBase) and not isinstance(layer, nn.SyncBatchNorm)
        for buffer in layer.buffers(recurse=False)
    }
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.detach() for name, tensor in named.items() if id(tensor) not in own}


def fingerprint(tensor: Tensor) -> Tensor:
    """A number that another tensor of this shape has by a rare chance only, int64 of shape (), on its device.

    The bits of the values as integers, weighted by their row and by their column and added up, modulo 2^64:
    one reduction over rows and one over columns, and no copy of the tensor. A changed bit and an exchange of
    rows or columns each change it.

    Args:
        tensor: Of any shape and type.
    """
    bits = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    bits = bits.contiguous().view(_INTEGERS[bits.element_size()])
    bits = bits.reshape(len(bits), -1) if bits.dim() > 1 else bits.reshape(1, -1)
    total = torch.zeros((), dtype=torch.int64, device=tensor.device)
    for dim, prime in ((0, 1), (1, 1_000_003)):
        sums = bits.sum(dim=dim, dtype=torch.int64)
        total = total + prime * (sums * torch.arange(1, len(sums) + 1, device=sums.device)).sum()
    return total
