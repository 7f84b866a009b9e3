"""The contrastive loss on logits over the bank, equation 1 of the paper."""

import torch.nn.functional as F
from torch import Tensor

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.losses.precision import full_precision, mean_of, scaled_logits


def info_nce_loss(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    r"""InfoNCE: cross-entropy that picks each query's own key out of the bank.

    .. math::
        L_C = -\frac{1}{N} \sum_{n=1}^{N} \log
            \frac{\exp(s_{n, y_n} / \tau)}{\sum_{m=1}^{M} \exp(s_{n, m} / \tau)}

    Args:
        logits: Similarities of queries and bank, shape (N, M), any float type. Divided by the temperature
            they count up to 1/1024 of the type's largest number, 3e35 in float32; what is beyond as that.
        labels: Index of each query's positive in the bank, shape (N,), int64, in [0, M).
        temperature: Divides ``logits``.

    Returns:
        The mean over samples, a scalar; float32 inside whatever the autocast state, float64 stays float64.
        Finite for any finite logits.

    Raises:
        ValueError: If the shapes do not fit or the temperature is not positive.

    Source: equation 1 of arXiv 2104.07713; ``model/CLSA.py`` of the official code.
    """
    if logits.dim() != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f'logits must be (N, M) and labels (N,), got {tuple(logits.shape)} and {tuple(labels.shape)}'
        )
    check_numbers('info_nce_loss', temperature=temperature)
    if temperature <= 0:
        raise ValueError(f'temperature must be positive, got {temperature}')
    with full_precision(logits):
        losses = F.cross_entropy(scaled_logits(logits, temperature), labels, reduction='none')
        return mean_of(losses)
