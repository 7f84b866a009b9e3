"""A bank in which all keys of a query's class are its positives."""

from collections.abc import Sequence

import torch
from torch import Tensor

from clsa_mm.models.bank import Bank, dot


class LabelledBank(Bank):
    r"""A bank of keys with labels, for supervised contrastive learning.

    A query's positives are all keys with its label, its sample's own key among them. Heads need not know:
    :meth:`positive_similarity` is the mean over the positives P, and so the contrastive loss SupCon's
    :math:`L^{out}` (equation 2 of arXiv 2004.11362) with the bank's keys in place of a batch's,

    .. math::
        l(z) - \frac{1}{|P|} \sum_{p \in P} z \cdot k_p / \tau = l(z) - z \cdot \bar{k} / \tau

    with the mean key :math:`\bar{k}` of the query's class: one pass over the bank, and no (N, M) tensor.

    Args:
        positives: The key of each sample, shape (N, C), as in :class:`Bank`.
        shared: Keys that every query meets, one or more tensors (M_i, C).
        labels: Labels of the samples, int64 of shape (N,), none negative.
        shared_labels: Labels of ``shared``, int64 of shape (M_i,) each; negative ones are nobody's.
        own: Further keys (N, P, C) of each sample, of its label. Defaults to None.

    Raises:
        ValueError: If the shapes do not fit.
    """

    def __init__(
        self,
        positives: Tensor,
        shared: Sequence[Tensor],
        labels: Tensor,
        shared_labels: Sequence[Tensor],
        own: Tensor | None = None,
    ) -> None:
        super().__init__(positives, shared, own)
        wanted = [(len(keys),) for keys in (positives, *shared)]
        given = [tuple(each.shape) for each in (labels, *shared_labels)]
        if wanted != given:
            raise ValueError(f'labels of samples and shared keys must have the shapes {wanted}, got {given}')
        self.labels = labels
        self.shared_labels = tuple(shared_labels)
        self._means, self._counts = self._class_means()

    @property
    def negatives(self) -> tuple[Tensor, ...]:
        """There are no keys that are a negative of every query.

        Raises:
            ValueError: Always: the shared keys of a query's label are its positives.
        """
        raise ValueError(
            'negatives cannot be transformed or mixed where keys have labels, as positives of a query are '
            "among them: set model.supervised=False, or model.head.type='DDMHead'"
        )

    def are_positives(self, queries: Tensor, similarities: Tensor) -> Tensor:
        """Which keys are positives of queries (N, C), bool of shape (N, M) as their similarities."""
        parts = [self.labels[:, None] == labels for labels in self.shared_labels]
        if self.own is not None:
            parts.append(parts[0].new_ones(self.own.shape[:2]))
        return torch.cat(parts, dim=1)

    def positive_similarity(self, queries: Tensor) -> Tensor:
        """Mean cosine similarity of unit-length queries (..., N, C) and their positives: (..., N)."""
        return dot(queries, self._means)

    def negative_similarity(self, queries: Tensor) -> Tensor:
        """Mean cosine similarity of queries (..., N, C) and all keys of other labels, or none: (..., N).

        It is 0 where there is no such key.
        """
        total = self._total() - self._counts[:, None] * self._means
        return dot(queries, total) / (len(self) - self._counts).clamp(min=1)

    @torch.no_grad()
    def _class_means(self) -> tuple[Tensor, Tensor]:
        """Mean of the keys of each sample's label (N, C), and their number (N,)."""
        ordered = self.labels.sort().values
        size = len(ordered)
        # A class is kept at the place of its first sample in this order, what is of no class behind them.
        sums = self.positives.new_zeros(size + 1, self.positives.shape[1])
        counts = torch.zeros(size + 1, dtype=torch.int64, device=ordered.device)
        for keys, labels in zip(self.shared, self.shared_labels, strict=True):
            places = torch.searchsorted(ordered, labels)
            found = ordered[places.clamp(max=size - 1)] == labels
            places = torch.where(found, places, size)
            sums.index_add_(0, places, keys.to(sums))
            counts.index_add_(0, places, torch.ones_like(places))
        places = torch.searchsorted(ordered, self.labels)
        sums, counts = sums[places], counts[places]
        if self.own is not None:
            sums, counts = sums + self.own.sum(dim=1), counts + self.own.shape[1]
        return sums / counts[:, None], counts
