"""Un-Mix: mixtures of images (Shen et al., AAAI 2022, arXiv 2003.05438)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.bank import Bank
from clsa_mm.models.selfsup.clsa import CLSA


@MODELS.register_module()
class UnMix(CLSA):
    r"""CLSA, or MoCo, which also learns how much of two images is in their mixture.

    The weak views :math:`x_1 \dots x_N` of a batch are mixed with the batch in reverse order; a mixture has
    the share :math:`\lambda` of :math:`x_n` and :math:`1 - \lambda` of :math:`x_{N+1-n}`, and its query is
    contrasted with the keys of both. With the contrastive loss :math:`L_C` and the queries :math:`m` of the
    mixtures, :math:`\overleftarrow{m}` in reverse order:

    .. math::
        L = L_C(z') + \lambda L_C(m) + (1 - \lambda) L_C(\overleftarrow{m})

    :math:`\lambda \sim \mathrm{Beta}(\alpha, \alpha)` is drawn for each batch of each process, and so is how
    to mix: all pixels in these shares, or a rectangle of the other image, of the share
    :math:`1 - \lambda` before it is cut at the image's border.

    Args:
        global_prob: Probability of mixing all pixels, in [0, 1] (``--unmix_prob`` of the official code).
            Defaults to 0.5.
        mix_alpha: :math:`\alpha` (``--beta`` of the official code). Defaults to 1.0.
        **kwargs: Of :class:`CLSA`, but for ``symmetric``.

    Raises:
        ValueError: If an argument is not as above.
    """

    def __init__(self, global_prob: float = 0.5, mix_alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_numbers('UnMix', global_prob=global_prob, mix_alpha=mix_alpha)
        if not 0 <= global_prob <= 1 or mix_alpha <= 0:
            raise ValueError(
                f'global_prob must be in [0, 1] and mix_alpha positive, got {global_prob} and {mix_alpha}'
            )
        if self.symmetric:
            raise ValueError('UnMix mixes the weak view alone: set model.symmetric=False')
        self.global_prob = global_prob
        self.mix_alpha = mix_alpha

    def loss_terms(
        self, images: Sequence[Tensor], weak: Sequence[Tensor], strong: Sequence[Tensor], bank: Bank
    ) -> dict[str, Tensor]:
        """The head's terms, and its contrastive losses of mixtures of the first weak view.

        Args:
            images: The weak views, each (N, 3, H, W).
            weak: Their queries, each (N, C).
            strong: Queries of the strong views.
            bank: What the queries are compared with.

        Raises:
            ValueError: If there is no weak view.
        """
        if not len(images):
            raise ValueError('UnMix mixes weak views, got none: set train_dataloader.dataset.views.weak')
        terms = self.head(weak, strong, bank)
        mixtures, share = mix_with_reverse(images[0], self.global_prob, self.mix_alpha)
        queries = self.encode_query(mixtures)
        terms['loss_mixed'] = share * self.head([queries], [], bank)['loss_contrastive']
        reverse = self.head([queries.flip(0)], [], bank)['loss_contrastive']
        terms['loss_mixed_reverse'] = (1 - share) * reverse
        return terms


@torch.compiler.disable
@torch.no_grad()
def mix_with_reverse(images: Tensor, global_prob: float, alpha: float) -> tuple[Tensor, float]:
    """Mix a batch with itself in reverse order.

    Args:
        images: Shape (N, 3, H, W).
        global_prob: Probability of mixing all pixels; else a rectangle is pasted.
        alpha: The share is drawn from Beta(alpha, alpha).

    Returns:
        Mixtures of the same shape, and the share of the batch in its own order that they have, in [0, 1].
    """
    concentration = torch.tensor(float(alpha))
    share = torch.distributions.Beta(concentration, concentration).sample().item()
    if torch.rand(()).item() < global_prob:
        return torch.lerp(images.flip(0), images, share), share
    height, width = images.shape[-2:]
    top, bottom = _draw_side(height, 1 - share)
    left, right = _draw_side(width, 1 - share)
    mixtures = images.clone()
    mixtures[..., top:bottom, left:right] = images.flip(0)[..., top:bottom, left:right]
    return mixtures, 1 - (bottom - top) * (right - left) / (height * width)


def _draw_side(length: int, area: float) -> tuple[int, int]:
    """First pixel and the one behind the last, of a side of a square of this share of the area."""
    half, centre = int(length * area**0.5) // 2, int(torch.randint(length, ()))
    return max(centre - half, 0), min(centre + half, length)
