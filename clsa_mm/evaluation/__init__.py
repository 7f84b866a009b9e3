"""Measuring frozen features: extraction, nearest neighbours, linear classifiers, SVMs, average precision."""

from clsa_mm.evaluation.average_precision import (
    class_average_precisions,
    per_image_average_precision,
    voc_average_precision,
)
from clsa_mm.evaluation.feature_files import FeatureSet, load_features, save_features
from clsa_mm.evaluation.features import extract_features, global_average_pool, iter_features
from clsa_mm.evaluation.knn import knn_accuracy, weighted_knn
from clsa_mm.evaluation.linear_sweep import sweep
from clsa_mm.evaluation.voc07_metric import VOC07Metric, score_multi_label
from clsa_mm.evaluation.voc07_svm import train_class_svms

__all__ = [
    'FeatureSet',
    'VOC07Metric',
    'class_average_precisions',
    'extract_features',
    'global_average_pool',
    'iter_features',
    'knn_accuracy',
    'load_features',
    'per_image_average_precision',
    'save_features',
    'score_multi_label',
    'sweep',
    'train_class_svms',
    'voc_average_precision',
    'weighted_knn',
]
