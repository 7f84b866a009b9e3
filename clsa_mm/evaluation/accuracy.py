"""Top-k accuracy of ranked predictions."""

from collections.abc import Sequence

from torch import Tensor

from clsa_mm.given_numbers import check_numbers


def top_accuracies(ranked: Tensor, labels: Tensor, topk: Sequence[int] = (1, 5)) -> dict[str, float]:
    """Count an image as right if its class is among the first k predictions.

    Args:
        ranked: Predicted classes, the likeliest first, shape (N, P); -1 is no prediction.
        labels: True classes, at least 0, shape (N,).
        topk: Which k, at least 1; those above P are taken as P.

    Returns:
        ``{'top1': ..., 'top5': ...}`` (one entry for each k of ``topk``), in percent, 0 to 100.

    Raises:
        ValueError: If shapes or a k do not fit.
    """
    check_topk(topk)
    if ranked.dim() != 2 or labels.shape != ranked.shape[:1]:
        raise ValueError(
            f'Accuracy needs predictions (N, P) and labels (N,), got {tuple(ranked.shape)} and '
            f'{tuple(labels.shape)}.'
        )
    hits = ranked == labels.to(ranked.device)[:, None]
    return {f'top{k}': 100 * hits[:, :k].any(1).double().mean().item() for k in topk}


def check_topk(topk: Sequence[int]) -> None:
    """Refuse what is no list of whole numbers of at least 1.

    Args:
        topk: Of :func:`top_accuracies`.

    Raises:
        ValueError: If it is none, or empty.
    """
    if not isinstance(topk, Sequence) or not topk:
        raise ValueError(f'topk={topk!r} must be a list of whole numbers of at least 1, such as (1, 5)')
    for k in topk:
        check_numbers('topk', whole=True, low=1, k=k)
