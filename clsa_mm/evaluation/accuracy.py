"""Top-k accuracy of ranked predictions."""

from collections.abc import Sequence

from torch import Tensor


def top_accuracies(ranked: Tensor, labels: Tensor, topk: Sequence[int] = (1, 5)) -> dict[str, float]:
    """Count an image as right if its class is among the first k predictions.

    Args:
        ranked: Predicted classes, the likeliest first, shape (N, P); -1 is no prediction.
        labels: True classes, at least 0, shape (N,).
        topk: Which k; those above P are taken as P.

    Returns:
        ``{'top1': ..., 'top5': ...}`` (one entry for each k of ``topk``), in percent, 0 to 100.
    """
    hits = ranked == labels.to(ranked.device)[:, None]
    return {f'top{k}': 100 * hits[:, :k].any(1).double().mean().item() for k in topk}
