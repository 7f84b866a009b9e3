"""Measuring features: extraction, neighbours, classifiers, average precision, effective ranks, scores."""

from clsa_mm.evaluation.average_precision import (
    class_average_precisions,
    per_image_average_precision,
    voc_average_precision,
)
from clsa_mm.evaluation.effective_rank import lidar, rankme
from clsa_mm.evaluation.feature_files import FeatureSet, load_features, save_features
from clsa_mm.evaluation.features import extract_features, global_average_pool, iter_features
from clsa_mm.evaluation.knn import knn_accuracy, weighted_knn
from clsa_mm.evaluation.linear_sweep import sweep
from clsa_mm.evaluation.score_statistics import query_statistics, score_statistics
from clsa_mm.evaluation.view_features import DrawnViews, view_features
from clsa_mm.evaluation.voc07_metric import VOC07Metric, score_multi_label
from clsa_mm.evaluation.voc07_svm import train_class_svms

__all__ = [
    'DrawnViews',
    'FeatureSet',
    'VOC07Metric',
    'class_average_precisions',
    'extract_features',
    'global_average_pool',
    'iter_features',
    'knn_accuracy',
    'lidar',
    'load_features',
    'per_image_average_precision',
    'query_statistics',
    'rankme',
    'save_features',
    'score_multi_label',
    'score_statistics',
    'sweep',
    'train_class_svms',
    'view_features',
    'voc_average_precision',
    'weighted_knn',
]
