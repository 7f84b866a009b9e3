"""What queries are compared with."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clsa_mm.models.losses import bank_attention, merge_attention, own_attention
from clsa_mm.models.losses.precision import at_least_float32, full_precision


class Bank:
    """Keys that all samples share, keys of each sample's own, and which key is a sample's positive.

    The parts of the bank stay where they are: nothing of the queue's length is copied.

    Args:
        positives: The key of each sample that its queries belong to, shape (N, C). It has to stand once among
            the other two, or not at all.
        shared: Keys that every query meets, one or more tensors (M_i, C): the keys of the batch, the queue.
        own: Further keys (N, P, C) that only the queries of their sample meet. Defaults to None.
        holds_positives: Whether the positives stand among the other two. Defaults to True.

    Raises:
        ValueError: If the shapes do not fit.

    Example:
        The bank of MoCo, where a positive is no other query's negative::

            Bank(keys, [queue.keys], own=keys[:, None])
    """

    def __init__(
        self,
        positives: Tensor,
        shared: Sequence[Tensor],
        own: Tensor | None = None,
        holds_positives: bool = True,
    ) -> None:
        if isinstance(shared, Tensor):
            raise ValueError('shared must be a sequence of tensors, got one tensor: write [keys]')
        tensors = [positives, *shared, *([] if own is None else [own])]
        shapes = [tuple(tensor.shape) for tensor in tensors]
        fits = own is None or (own.dim() == 3 and len(own) == len(positives))
        if not fits or any(tensor.dim() != 2 for tensor in (positives, *shared)):
            raise ValueError(
                'positives must be (N, C), shared keys (M, C) each, and own keys (N, P, C) with the same N, '
                f'got {shapes[0]}, {shapes[1 : 1 + len(shared)]} and {None if own is None else shapes[-1]}'
            )
        if len({tensor.shape[-1] for tensor in tensors}) > 1:
            raise ValueError(
                f'keys of one bank must have one dimension, got shapes {shapes}: '
                "make feat_dim of the queue equal to the neck's out_channels"
            )
        self.positives = positives
        self.shared = tuple(shared)
        self.own = own
        self.holds_positives = holds_positives

    def __len__(self) -> int:
        """Number of keys that one query meets, M."""
        return sum(len(keys) for keys in self.shared) + (0 if self.own is None else self.own.shape[1])

    @property
    def negatives(self) -> tuple[Tensor, ...]:
        """Keys that are a negative of every query: ``shared``, where the positives stand apart from them.

        Raises:
            ValueError: If the positives are among ``shared``, or ``own`` has more than the positives.
        """
        if self.holds_positives and (self.own is None or self.own.shape[1] != 1):
            raise ValueError(
                'negatives can be transformed or mixed only where they stand apart from the positives: '
                "set model.bank='own'"
            )
        return self.shared

    def attention(self, queries: Tensor, temperature: float | Sequence[float]) -> tuple[Tensor, Tensor]:
        """Expected key and log-partition of queries, see :func:`clsa_mm.models.losses.bank_attention`.

        One call for all views is faster than one for each.

        Args:
            queries: Unit-length queries of the bank's samples, shape (..., N, C); leading dimensions are
                views.
            temperature: Divides the similarities: one number, or one for each entry of the first dimension.

        Returns:
            The expected key (..., N, C), detached, and the log-partition (..., N), differentiable.

        Raises:
            ValueError: If a temperature is not positive or their number is not that of the views.
        """
        if isinstance(temperature, Sequence):
            if len(temperature) != len(queries) or min(temperature) <= 0:
                raise ValueError(
                    f'{len(queries)} views need as many temperatures, all positive, got {list(temperature)}'
                )
            queries = torch.stack(
                [at_least_float32(z) / t for z, t in zip(queries, temperature, strict=True)]
            )
            temperature = 1.0
        flat = queries.flatten(0, -2)
        parts = []
        for keys in self.shared:
            expected_key, log_partition = bank_attention(flat, keys, temperature)
            parts.append((expected_key.view(queries.shape), log_partition.view(queries.shape[:-1])))
        if self.own is not None:
            parts.append(own_attention(queries, self.own, temperature))
        return merge_attention(*parts)

    def similarities(self, queries: Tensor) -> Tensor:
        """Cosine similarity of unit-length queries (..., N, C) and every key, shape (..., N, M).

        First those of ``shared``, then those of ``own``. Differentiable in the queries. Of a long queue this
        is a large tensor; what the losses need of it, :meth:`attention` gives without it.
        """
        queries = at_least_float32(queries)
        with full_precision(queries):
            parts = [queries @ keys.to(queries).T for keys in self.shared]
            if self.own is not None:
                parts.append(torch.einsum('...nc,npc->...np', queries, self.own.to(queries)))
            return torch.cat(parts, dim=-1)

    def are_positives(self, queries: Tensor, similarities: Tensor) -> Tensor:
        """Which keys are the positive of queries (N, C), bool of shape (N, M) as their :meth:`similarities`.

        Of keys that equal the positive one is.
        """
        found = torch.zeros_like(similarities, dtype=torch.bool)
        if not self.holds_positives:
            return found
        # Where the positive stands is the affair of who made the bank; its score tells it.
        distances = (similarities - self.positive_similarity(queries)[:, None]).abs()
        return found.scatter_(1, distances.argmin(dim=1, keepdim=True), True)

    def expected_key(self, queries: Tensor, temperature: float) -> Tensor:
        """Expected key (..., N, C) that gradients flow through, by :meth:`similarities`.

        Args:
            queries: Unit-length queries (..., N, C).
            temperature: Divides the similarities.
        """
        weights = torch.softmax(self.similarities(queries) / temperature, dim=-1)
        with full_precision(weights):
            expected_key, start = 0, 0
            for keys in self.shared:
                part = weights[..., start : start + len(keys)]
                expected_key, start = expected_key + part @ keys.to(weights), start + len(keys)
            if self.own is not None:
                part = weights[..., start:]
                expected_key = expected_key + torch.einsum('...np,npc->...nc', part, self.own.to(weights))
            return expected_key

    def positive_similarity(self, queries: Tensor) -> Tensor:
        """Cosine similarity of unit-length queries (..., N, C) and their positives: (..., N)."""
        return dot(queries, self.positives)

    def negative_similarity(self, queries: Tensor) -> Tensor:
        """Mean cosine similarity of queries (..., N, C) and all keys but their positives: (..., N).

        It is 0 where the positive is the only key.
        """
        total = self._total()
        if self.holds_positives:
            total = total - self.positives
        return dot(queries, total) / max(len(self) - self.holds_positives, 1)

    def _total(self) -> Tensor:
        """Sum of the keys that a query meets, (C,), or with own keys (N, C)."""
        total = sum(keys.sum(dim=0) for keys in self.shared)
        return total if self.own is None else total + self.own.sum(dim=1)


def dot(queries: Tensor, keys: Tensor) -> Tensor:
    """Product of queries (..., N, C) and one key each (N, C): (..., N), at least float32."""
    # Not a matrix product, which autocast would round.
    return (at_least_float32(queries) * at_least_float32(keys)).sum(dim=-1)
