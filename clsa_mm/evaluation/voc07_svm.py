"""The SVM benchmark of VOC07: one linear SVM per class on frozen features.

Source: Goyal et al., "Scaling and Benchmarking Self-Supervised Visual Representation Learning", ICCV 2019
(arXiv 1905.01235), with the settings of its successor VISSL: features scaled to length 1, squared hinge,
positives weighted twice, and per class the cost C of the best average precision in 3-fold
cross-validation on the training images.
"""

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from mmengine.logging import print_log

from clsa_mm.evaluation.voc07_metric import score_multi_label
from clsa_mm.given_numbers import check_numbers
from clsa_mm.printable import printable

COSTS = (0.01, 0.1, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 50.0, 100.0, 1000.0)
FOLDS = 3


@dataclass(frozen=True)
class ClassSVM:
    """One class's classifier.

    Attributes:
        cost: The chosen C.
        cross_validation: Mean average precision (scikit-learn's) over the folds, for each cost.
        scores: Signed distances of the test images, shape (N_test,).
        unconverged: How many of the fits stopped at the limit of iterations.
    """

    cost: float
    cross_validation: tuple[float, ...]
    scores: np.ndarray
    unconverged: int


def train_class_svms(
    features: np.ndarray,
    labels: np.ndarray,
    test_features: np.ndarray,
    costs: Sequence[float] = COSTS,
    jobs: int = 1,
    names: Sequence[str] | None = None,
) -> list[ClassSVM]:
    """Train the SVMs and score the test images.

    Images of which all objects of a class are difficult do not take part in that class's training.

    Args:
        features: Training features, shape (N, D), any scale.
        labels: 1 where the image shows the class, 0 where not, -1 where only difficult objects of it, shape
            (N, C).
        test_features: Shape (N_test, D).
        costs: Values of C to choose from, > 0.
        jobs: Classes to train at the same time.
        names: The classes, for messages.

    Returns:
        One entry per class.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If shapes do not fit, a feature is not finite, or a class has fewer positive or negative
            images than folds.
    """
    require_scikit_learn()
    check_numbers('train_class_svms', whole=True, low=1, jobs=jobs)
    _check(features, labels, test_features, costs, names)
    features, test_features = _unit_length(features), _unit_length(test_features)

    def train(column: int) -> ClassSVM:
        svm = _train_class(features, labels[:, column], test_features, costs)
        print_log(
            f'SVM {column + 1}/{labels.shape[1]}: C={svm.cost:g}, '
            f'cross-validation {100 * max(svm.cross_validation):.2f} %',
            logger='current',
        )
        return svm

    # Threads: liblinear works without Python's lock.
    with warnings.catch_warnings(), ThreadPoolExecutor(jobs) as pool:
        warnings.simplefilter('ignore')  # non-convergence is counted instead
        return list(pool.map(train, range(labels.shape[1])))


def require_scikit_learn() -> None:
    """Say what to install if scikit-learn is not there.

    Raises:
        ImportError: If it is not.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ImportError('The SVMs are of scikit-learn: pip install "scikit-learn>=1.4".') from error


def svm_report(
    svms: Sequence[ClassSVM], labels: np.ndarray, meta: Mapping[str, object], costs: Sequence[float]
) -> dict:
    """Everything a figure needs to be understood: features, grid, chosen costs, rule.

    Args:
        svms: Of :func:`train_class_svms`.
        labels: Of the test images, 1, 0 or -1 (difficult: left out), shape (N_test, C).
        meta: Of the training features.
        costs: The values of C that were tried.

    Returns:
        Plain data: ``mAP_11point``, ``mAP_area`` and ``per_image_ap`` in percent, ``classes`` with each
        one's ``cost``, ``cross_validation``, ``AP_11point`` and ``AP_area`` (None if no image shows it),
        and the settings.

    Raises:
        ValueError: If no image shows any class.
    """
    names = meta['classes']
    metrics = score_multi_label(np.stack([svm.scores for svm in svms], 1), labels, names)
    classes = {
        name: dict(
            cost=svm.cost,
            cross_validation=100 * max(svm.cross_validation),
            AP_11point=metrics.pop(f'AP_11point/{name}', None),
            AP_area=metrics.pop(f'AP_area/{name}', None),
        )
        for name, svm in zip(names, svms, strict=True)
    }
    return dict(
        metrics, classes=classes, costs=list(costs), folds=FOLDS, checkpoint=meta.get('checkpoint'),
        layer=meta['layer'], dimensions=meta['dimensions'], images=meta['images'],
        unconverged=sum(svm.unconverged for svm in svms),
    )  # fmt: skip


def svm_table(report: Mapping) -> str:
    """The report as text.

    Args:
        report: Of :func:`svm_report`.
    """
    lines = [f'{"class":<14}{"C":>8}{"AP 11-point":>13}{"AP area":>9}']
    for name, row in report['classes'].items():
        values = [f'{"-" if row[key] is None else f"{row[key]:.2f}"}' for key in ('AP_11point', 'AP_area')]
        lines.append(f'{printable(name):<14}{row["cost"]:>8g}{values[0]:>13}{values[1]:>9}')
    lines.append(f'{"mAP":<14}{"":>8}{report["mAP_11point"]:>13.2f}{report["mAP_area"]:>9.2f}')
    fits = len(report['classes']) * (len(report['costs']) * report['folds'] + 1)
    grid = ', '.join(f'{cost:g}' for cost in report['costs'])
    lines += [
        f'Backbone: {report["checkpoint"] or "RANDOM-INITIALISED"}; features: {report["layer"]}, '
        f'{report["dimensions"]} dimensions, scaled to length 1; {report["images"]} training images',
        f'C of {grid}, by {report["folds"]}-fold cross-validation per class; '
        f'{report["unconverged"]} of {fits} fits stopped at 2000 iterations',
        'Images with only difficult objects of a class are left out for that class',
        f'Not an mAP, and not to be compared with it: per_image_ap {report["per_image_ap"]:.2f}',
    ]
    return '\n'.join(lines)


def _train_class(
    features: np.ndarray, labels: np.ndarray, test_features: np.ndarray, costs: Sequence[float]
) -> ClassSVM:
    from sklearn.metrics import average_precision_score
    from sklearn.model_selection import StratifiedKFold

    known = labels >= 0
    features, target = features[known], np.where(labels[known] == 1, 1, -1)
    folds = list(StratifiedKFold(FOLDS).split(features, target))
    precision, unconverged = [], 0
    for cost in costs:
        values = []
        for train, held_out in folds:
            svm, stopped = _fit(features[train], target[train], cost)
            unconverged += stopped
            values.append(
                average_precision_score(target[held_out], svm.decision_function(features[held_out]))
            )
        precision.append(float(np.mean(values)))
    cost = costs[int(np.argmax(precision))]
    svm, stopped = _fit(features, target, cost)
    return ClassSVM(
        float(cost), tuple(precision), svm.decision_function(test_features), unconverged + stopped
    )


def _fit(features: np.ndarray, target: np.ndarray, cost: float) -> tuple[object, bool]:
    from sklearn.svm import LinearSVC

    svm = LinearSVC(
        C=cost, loss='squared_hinge', penalty='l2', dual=True, class_weight={1: 2, -1: 1},
        max_iter=2000, random_state=0,
    ).fit(features, target)  # fmt: skip
    return svm, svm.n_iter_ >= svm.max_iter


def _unit_length(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, dtype=np.float64)
    return features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-5)


def _check(
    features: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    costs: Sequence[float],
    names: Sequence[str] | None,
) -> None:
    if features.ndim != 2 or labels.ndim != 2 or len(features) != len(labels):
        raise ValueError(
            'The SVMs need features (N, D) and labels (N, C) of several classes per image, got '
            f'{features.shape} and {labels.shape}: give a multi-label data set such as VOC.'
        )
    if test.ndim != 2 or test.shape[1] != features.shape[1]:
        raise ValueError(
            f'Test features {test.shape} do not fit training features {features.shape}: extract both with '
            'the same backbone.'
        )
    if not (np.isfinite(features).all() and np.isfinite(test).all()):
        raise ValueError('The features hold NaN or infinity: has the pretraining diverged?')
    for cost in costs:
        check_numbers('train_class_svms', cost=cost)
    if not costs or min(costs) <= 0:
        raise ValueError(f'The costs C must be > 0, got {list(costs)}.')
    for kind, value in (('positive', 1), ('negative', 0)):
        images = (labels == value).sum(0)
        if images.min() < FOLDS:
            column = int(images.argmin())
            raise ValueError(
                f'Class {names[column] if names else column} has only {images.min()} {kind} training images, '
                f'and {FOLDS}-fold cross-validation needs {FOLDS}: give more images.'
            )
