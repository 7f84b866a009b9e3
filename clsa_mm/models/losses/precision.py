"""The float32 island that similarities and losses are computed in."""

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> torch.autocast:
    """Context in which autocast is off for the device of ``tensor``."""
    return torch.autocast(tensor.device.type, enabled=False)


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half precisions as float32; float32 and float64 as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def scaled_logits(logits: Tensor, temperature: float) -> Tensor:
    """``logits / temperature`` in at least float32, cut at 1/1024 of its limit: differences are finite."""
    logits = at_least_float32(logits) / temperature
    bound = torch.finfo(logits.dtype).max / 1024
    return logits.clamp(-bound, bound)


def mean_of(losses: Tensor) -> Tensor:
    """Mean of losses (N,), which is finite where they are: the sum of a large batch may not be."""
    return (losses / len(losses)).sum()
