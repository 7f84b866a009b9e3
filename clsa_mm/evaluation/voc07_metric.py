"""Average precisions of multi-label classification, as a metric of mmengine's evaluator."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS
from mmpretrain.structures import DataSample
from torch import Tensor

from clsa_mm.evaluation.average_precision import class_average_precisions, per_image_average_precision
from clsa_mm.evaluation.labels import difficult_classes


@METRICS.register_module()
class VOC07Metric(BaseMetric):
    """VOC's mean average precision, and apart from it the official CLSA code's per-image one.

    Reports, in percent, ``voc07/mAP_11point`` (VOC2007's rule), ``voc07/mAP_area`` (since VOC2010) and
    ``voc07/per_image_ap``, which is no mAP: see :mod:`clsa_mm.evaluation.average_precision`. Images of
    which all objects of a class are difficult do not count for that class, as VOC has it; in
    ``per_image_ap`` they count as without it, as the official code has it. Classes that no image shows
    are left out of the means, and named in the log.

    Args:
        classwise: Also report each class, ``voc07/AP_11point/<class>`` and ``voc07/AP_area/<class>``.
        use_difficult: The data set tells difficult objects apart; its pipeline has to hand on
            ``gt_label_difficult``. False for multi-label data without.
        collect_device: Of ``BaseMetric``.
        prefix: Of ``BaseMetric``.
    """

    default_prefix = 'voc07'

    def __init__(
        self,
        classwise: bool = True,
        use_difficult: bool = True,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classwise = classwise
        self.use_difficult = use_difficult

    def process(self, data_batch: dict, data_samples: Sequence[dict | DataSample]) -> None:
        """Keep the scores and the labels of a batch.

        Args:
            data_batch: Not used.
            data_samples: With ``pred_score`` (C,), ``gt_label`` and ``gt_label_difficult``.

        Raises:
            ValueError: If the pipeline dropped ``gt_label_difficult``.
        """
        for sample in data_samples:
            scores: Tensor = sample['pred_score'] if isinstance(sample, dict) else sample.pred_score
            shown: Tensor = sample['gt_label'] if isinstance(sample, dict) else sample.gt_label
            labels = torch.zeros(len(scores), dtype=torch.int8)
            if self.use_difficult:
                labels[difficult_classes(sample)] = -1
            labels[shown.long().cpu()] = 1
            self.results.append((scores.float().cpu().numpy(), labels.numpy()))

    def compute_metrics(self, results: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Score the collected images of all ranks.

        Args:
            results: Of :meth:`process`.

        Returns:
            The metrics, in percent.

        Raises:
            ValueError: If no image shows any class, or a score is not finite.
        """
        scores, labels = (np.stack(arrays) for arrays in zip(*results, strict=True))
        names = (self.dataset_meta or {}).get('classes') or [str(i) for i in range(labels.shape[1])]
        return score_multi_label(scores, labels, names, self.classwise)


def score_multi_label(
    scores: np.ndarray, labels: np.ndarray, names: Sequence[str], classwise: bool = True
) -> dict[str, float]:
    """The metrics of :class:`VOC07Metric`, without prefix.

    Args:
        scores: Shape (N, C).
        labels: 1, 0 or -1 (difficult), shape (N, C).
        names: The C classes.
        classwise: Also report each class.

    Returns:
        ``mAP_11point``, ``mAP_area``, ``per_image_ap`` and, if ``classwise``, ``AP_<rule>/<class>``, in
        percent.

    Raises:
        ValueError: If no image shows any class, or a score is not finite.
    """
    metrics, details = {}, {}
    for rule in ('11point', 'area'):
        values = 100 * class_average_precisions(scores, labels, rule)
        metrics[f'mAP_{rule}'] = float(np.nanmean(values))
        details |= {
            f'AP_{rule}/{name}': float(value)
            for name, value in zip(names, values, strict=True)
            if not np.isnan(value)
        }
    metrics['per_image_ap'] = 100 * per_image_average_precision(scores, labels)
    if missing := [name for name in names if f'AP_area/{name}' not in details]:
        print_log(f'No image shows {", ".join(missing)}: left out of the mAP.', logger='current', level=30)
    return metrics | details if classwise else metrics
