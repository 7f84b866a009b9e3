r"""Attention over the bank: all that a loss needs of a query, at the price of one pass over the bank.

With the bank's entries :math:`k_1 \dots k_M`, a query :math:`z` and a temperature :math:`\tau`

.. math::
    l(z) = \log \sum_m \exp(z \cdot k_m / \tau), \qquad
    o(z) = \sum_m p(k_m \mid z) \, k_m, \qquad p(k_m \mid z) = \exp(z \cdot k_m / \tau - l(z)),

the log-partition and the expected key. As the probabilities sum to one, InfoNCE (equation 1 of arXiv
2104.07713) is :math:`l(z') - z' \cdot k_+ / \tau`, and the cross-entropy of two distributions (equation 4) is
:math:`l(z'') - z'' \cdot o(z') / \tau`. The gradient of :math:`l` is :math:`o / \tau`. So attention with
the bank as keys and values, part by part, gives losses and gradients, and no tensor of shape (N, M) exists.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.losses.attention_kernels import Attention, kernel_for, merge_parts
from clsa_mm.models.losses.precision import at_least_float32, full_precision


@torch.compiler.disable
def bank_attention(queries: Tensor, bank: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Expected key and log-partition of each query over the whole bank.

    Nothing of the bank is kept for the backward pass: it may be written to (an enqueue) after the forward.

    Args:
        queries: Shape (N, C), any float type. N may be 0.
        bank: Keys, shape (M, C) with M >= 1. If they need gradients, the plain path is taken, which keeps an
            (N, M) tensor: meant for keys of a batch, not for a queue.
        temperature: Divides the similarities; a number. One that is learned scales the queries instead, which
            carries its gradient: ``bank_attention(queries * scale, bank, 1.0)``. Similarities divided by it
            must be finite in the type of the result.

    Returns:
        The expected key (N, C), detached, and the log-partition (N,), differentiable in the queries (and in
        keys that need gradients). In the wider of the two types and at least float32, whatever the autocast
        state.

    Raises:
        ValueError: If the shapes do not fit, the bank is empty, or the temperature is not positive or needs a
            gradient.

    Example:
        >>> import torch
        >>> from clsa_mm.models.losses import bank_attention
        >>> query, bank = torch.tensor([[1.0, 0.0]]), torch.eye(2)
        >>> expected_key, log_partition = bank_attention(query, bank, temperature=0.2)
        >>> [round(value, 4) for value in (*expected_key[0].tolist(), log_partition.item())]
        [0.9933, 0.0067, 5.0067]
    """
    if queries.dim() != 2 or bank.dim() != 2 or queries.shape[1] != bank.shape[1]:
        raise ValueError(
            f'queries must be (N, C) and the bank (M, C), got {tuple(queries.shape)} and '
            f'{tuple(bank.shape)}; '
            "a queue's feat_dim is the neck's out_channels"
        )
    if not len(bank):
        raise ValueError('the bank holds no key: a query has nothing to be compared with')
    _check_temperature(temperature)
    with full_precision(queries):
        queries, bank = _same_type(queries, bank)
        if bank.requires_grad and torch.is_grad_enabled():
            return _attend_to(queries @ bank.T / temperature, bank)
        return _BankAttention.apply(queries, bank, temperature)


def own_attention(queries: Tensor, keys: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Attention of each query over keys of its own, to be merged with that over the bank.

    For a positive that is nobody else's negative (MoCo), synthetic negatives (MoCHi), extrapolated positives.

    Args:
        queries: Shape (..., N, C); leading dimensions are views, which share the keys.
        keys: Shape (N, P, C), P keys of each sample.
        temperature: As in :func:`bank_attention`.

    Returns:
        The expected key (..., N, C), detached, and the log-partition (..., N), differentiable in queries and
        keys.

    Raises:
        ValueError: If the shapes do not fit, or the temperature is not positive or needs a gradient.
    """
    if keys.dim() != 3 or keys.shape[::2] != queries.shape[-2:] or not keys.shape[1]:
        raise ValueError(
            f'queries must be (..., N, C) and their own keys (N, P, C) with P >= 1, got '
            f'{tuple(queries.shape)} and {tuple(keys.shape)}'
        )
    _check_temperature(temperature)
    with full_precision(queries):
        queries, keys = _same_type(queries, keys)
        logits = torch.einsum('...nc,npc->...np', queries, keys) / temperature
        weights = torch.softmax(logits.detach(), dim=-1)
        return torch.einsum('...np,npc->...nc', weights, keys.detach()), torch.logsumexp(logits, dim=-1)


def merge_attention(*parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Attention over the union of disjoint sets of keys, from the attention over each.

    Log-partitions add as logarithms, expected keys are weighted by their share of the sum.

    Args:
        *parts: Pairs of expected key (..., C) and log-partition (...) of the same queries, at the same
            temperature.

    Returns:
        The expected key, detached, and the log-partition, differentiable as those of the parts are.

    Raises:
        ValueError: If there is no part, or the shapes differ.

    Example:
        A query against the queue and 16 synthetic negatives of its own::

            merge_attention(bank_attention(query, queue, 0.2), own_attention(query, synthetic, 0.2))
    """
    if not parts or len({(key.shape, log.shape) for key, log in parts}) > 1:
        raise ValueError(
            'parts to merge must be attention of the same queries, got shapes '
            f'{[(tuple(key.shape), tuple(log.shape)) for key, log in parts]}'
        )
    expected_keys, log_partitions = (torch.stack(tensors) for tensors in zip(*parts, strict=True))
    expected_key, _ = merge_parts(expected_keys.detach(), log_partitions.detach())
    return expected_key, torch.logsumexp(log_partitions, dim=0)


class _BankAttention(torch.autograd.Function):
    """A kernel with a backward pass of one product of (N, C)."""

    @staticmethod
    def forward(ctx: FunctionCtx, queries: Tensor, bank: Tensor, temperature: float) -> Attention:
        if len(queries):
            kernel = kernel_for(queries)
            expected_key, log_partition = kernel(queries.contiguous(), bank.contiguous(), 1 / temperature)
        else:  # which not every kernel survives
            expected_key, log_partition = torch.zeros_like(queries), queries.new_zeros(0)
        ctx.mark_non_differentiable(expected_key)
        ctx.save_for_backward(expected_key)
        ctx.temperature = temperature
        return expected_key, log_partition

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, _: Tensor, gradient: Tensor) -> tuple[Tensor, None, None]:
        (expected_key,) = ctx.saved_tensors
        return gradient[:, None] * expected_key / ctx.temperature, None, None


def _attend_to(logits: Tensor, bank: Tensor) -> Attention:
    weights = torch.softmax(logits.detach(), dim=1)
    return weights @ bank.detach(), torch.logsumexp(logits, dim=1)


def _same_type(queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(at_least_float32(queries).dtype, at_least_float32(keys).dtype)
    return queries.to(dtype), keys.to(dtype)


def _check_temperature(temperature: float) -> None:
    if isinstance(temperature, Tensor) and temperature.requires_grad:
        raise ValueError(
            'temperature must be a number: no gradient would reach this tensor. Scale the queries instead, '
            'which carries the gradient: bank_attention(queries * scale, bank, 1.0)'
        )
    if not isinstance(temperature, Tensor):
        check_numbers('attention', temperature=temperature)
    if not temperature > 0:
        raise ValueError(f'temperature must be positive, got {temperature}')
