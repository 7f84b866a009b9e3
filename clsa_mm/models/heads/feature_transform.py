"""What feature transformation draws and mixes (Zhu et al., ICCV 2021, arXiv 2108.02982)."""

from typing import Any

import torch
from torch import Tensor

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.heads.start_epoch import has_started
from clsa_mm.models.losses.precision import at_least_float32

POSITIVES = ('extrapolate', 'interpolate', None)
NEGATIVES = ('replace', 'append', None)
LEVELS = ('batch', 'sample', 'dimension')


class FeatureTransform:
    r"""Feature transformation's settings and arithmetic, for a head that contrasts what it returns.

    A mixin: ``class FeatureTransformHead(FeatureTransform, DDMHead)``. A feature :math:`z` and its positive
    :math:`k` move apart, and each negative is mixed with another one, :math:`\pi` being a random permutation
    (equation 5 of the paper):

    .. math::
        \hat z = \lambda z + (1 - \lambda) k, \quad \hat k = \lambda k + (1 - \lambda) z, \quad
        \lambda \sim \mathrm{Beta}(\alpha_{ex}, \alpha_{ex}) + 1, \qquad
        \hat n_j = \lambda' n_j + (1 - \lambda') n_{\pi(j)}, \quad
        \lambda' \sim \mathrm{Beta}(\alpha_{in}, \alpha_{in})

    Nothing is normalised anew, and gradients reach both parts of a mixture, as in the official code. Shares
    and permutation are each process's own.

    Args:
        positive: ``'extrapolate'``; ``'interpolate'``: :math:`\lambda` without the 1 (Table 3); None leaves
            the pairs as they are. Defaults to ``'extrapolate'``.
        negative: ``'replace'``: mixed negatives in place of the original ones; ``'append'``: both (Table 5);
            None: the original ones. Defaults to ``'replace'``.
        positive_alpha: :math:`\alpha_{ex}`. Defaults to 2.0.
        negative_alpha: :math:`\alpha_{in}`. Defaults to 1.6.
        level: What has a :math:`\lambda` of its own: a ``'batch'`` (a view of all samples, and all
            negatives), a ``'sample'`` (a pair, a negative), or each ``'dimension'`` of a sample. Defaults to
            ``'batch'``.
        start_epoch: First epoch of the transformation, from 0 (Table 6). Defaults to 0.
        **kwargs: Of the head.

    Raises:
        ValueError: If an argument is not as above, or nothing is to be transformed.
    """

    def __init__(
        self,
        positive: str | None = 'extrapolate',
        negative: str | None = 'replace',
        positive_alpha: float = 2.0,
        negative_alpha: float = 1.6,
        level: str = 'batch',
        start_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value, choices in (
            ('positive', positive, POSITIVES),
            ('negative', negative, NEGATIVES),
            ('level', level, LEVELS),
        ):
            if value not in choices:
                raise ValueError(f'{name} must be one of {choices}, got {value!r}')
        if positive is None and negative is None:
            plain = type(self).__bases__[-1].__name__
            raise ValueError(f'positive and negative are both None: take type={plain!r}, which is the same')
        owner = type(self).__name__
        check_numbers(owner, positive_alpha=positive_alpha, negative_alpha=negative_alpha)
        check_numbers(owner, whole=True, low=0, start_epoch=start_epoch)
        if min(positive_alpha, negative_alpha) <= 0:
            raise ValueError(
                f'positive_alpha and negative_alpha must be positive, got {positive_alpha}, {negative_alpha}'
            )
        self.positive = positive
        self.negative = negative
        self.positive_alpha = positive_alpha
        self.negative_alpha = negative_alpha
        self.level = level
        self.start_epoch = start_epoch

    def started(self) -> bool:
        """Whether the run has reached ``start_epoch``; see :func:`has_started`."""
        return has_started(self.start_epoch)

    def transform_pairs(self, features: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
        """Features and their positives, apart from or nearer to each other; as they are without ``positive``.

        Args:
            features: Unit-length, shape (..., N, C); leading dimensions are views.
            positives: Theirs, the same shape or (N, C).

        Returns:
            Both as (..., N, C), transformed ones in at least float32.
        """
        if not self.positive:
            return features, positives
        features, positives = at_least_float32(features), at_least_float32(positives)
        share = self._draw(self.positive_alpha, features) + (self.positive == 'extrapolate')
        return share * features + (1 - share) * positives, share * positives + (1 - share) * features

    def mix_negatives(self, negatives: Tensor) -> tuple[Tensor, Tensor]:
        """Each negative mixed with another one.

        Args:
            negatives: Unit-length, shape (K, C).

        Returns:
            The mixtures (K, C), and which negative each was mixed with, a permutation (K,).
        """
        negatives = at_least_float32(negatives)
        share = self._draw(self.negative_alpha, negatives)
        others = torch.randperm(len(negatives), device=negatives.device)
        return negatives.index_select(0, others).lerp_(negatives, share), others

    def _draw(self, alpha: float, features: Tensor) -> Tensor:
        """Shares from Beta(alpha, alpha) that broadcast over features (..., N, C)."""
        kept = LEVELS.index(self.level)
        *views, samples, channels = features.shape
        shape = (*views, samples if kept else 1, channels if kept == 2 else 1)
        concentration = at_least_float32(features).new_tensor(alpha)  # of halves there is no Beta
        return torch.distributions.Beta(concentration, concentration, validate_args=False).sample(shape)
