"""A small VOC2007 of embedded pictures, and slow ways to its labels and its average precision."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from clsa_mm.datasets.embedded import GENERATORS


def make_voc(root: Path, **numbers: int) -> Path:
    """Write VOC2007; in every third image all objects are difficult."""
    GENERATORS['voc'](root, image_size=64, progress=False, **numbers)
    voc = root / 'VOCdevkit' / 'VOC2007'
    for path in sorted((voc / 'Annotations').iterdir())[::3]:
        text = path.read_text().replace('<difficult>0<', '<difficult>1<')
        path.write_text(text)
    return voc


def labels_by_xml(voc: Path, split: str, classes: list[str]) -> np.ndarray:
    """1, 0 or -1 (only difficult objects) per image and class."""
    names = (voc / 'ImageSets' / 'Main' / f'{split}.txt').read_text().split()
    labels = np.zeros((len(names), len(classes)), int)
    for row, name in zip(labels, names, strict=True):
        for node in ET.parse(voc / 'Annotations' / f'{name}.xml').iter('object'):
            column = classes.index(node.find('name').text)
            easy = node.find('difficult').text == '0'
            row[column] = 1 if easy or row[column] == 1 else -1
    return labels


def devkit(scores: np.ndarray, labels: np.ndarray, rule: str) -> float:
    """VOCevalcls.m (11 points) and VOCap.m (area), line by line, with 1-based loops written out."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    true_positives = false_positives = 0
    positives = sum(label > 0 for label in labels)
    recall, precision = [], []
    for i in order:
        true_positives += labels[i] == 1
        false_positives += labels[i] == 0  # the devkit writes -1 for absent and 0 for difficult
        recall.append(true_positives / positives)
        total = true_positives + false_positives
        precision.append(true_positives / total if total else 0.0)
    if rule == '11point':
        average = 0.0
        for k in range(11):
            reached = [p for p, r in zip(precision, recall, strict=True) if r >= k / 10 - 1e-12]
            average += max(reached, default=0) / 11
        return average
    recall, precision = [0, *recall, 1], [0, *precision, 0]
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))
