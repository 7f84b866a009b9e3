"""Measuring frozen features: their extraction and weighted k nearest neighbours."""

from .features import extract_features, global_average_pool
from .knn import knn_accuracy, weighted_knn

__all__ = ['extract_features', 'global_average_pool', 'knn_accuracy', 'weighted_knn']
