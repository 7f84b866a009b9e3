import builtins

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from clsa_mm.evaluation import train_class_svms
from clsa_mm.evaluation.voc07_svm import svm_report, svm_table

COSTS = (0.1, 1.0, 10.0)


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5)).astype(np.float32)
    noisy = features[:, :3] + rng.normal(size=(60, 3))
    labels = (noisy > 0.3).astype(np.int8)
    labels[rng.random(labels.shape) < 0.1] = -1
    return features, labels, rng.normal(size=(30, 5)).astype(np.float32)


def test_is_scikit_learns_grid_search_class_by_class() -> None:
    features, labels, test = data()
    for column, svm in enumerate(train_class_svms(features, labels, test, COSTS, jobs=2)):
        known = labels[:, column] >= 0
        search = GridSearchCV(
            LinearSVC(class_weight={1: 2, -1: 1}, max_iter=2000, random_state=0, dual=True),
            dict(C=COSTS),
            scoring='average_precision',
            cv=StratifiedKFold(3),
        ).fit(normalize(features[known]), np.where(labels[known, column] == 1, 1, -1))
        np.testing.assert_allclose(svm.cross_validation, search.cv_results_['mean_test_score'], atol=1e-3)
        assert svm.cost == search.best_params_['C']
        np.testing.assert_allclose(svm.scores, search.decision_function(normalize(test)), atol=1e-3)


def test_length_and_difficult_images_do_not_matter() -> None:
    features, labels, test = data()
    expected = train_class_svms(features, labels, test, COSTS)
    lengths = np.linspace(1, 100, 60, dtype=np.float32)[:, None]
    changed = features * lengths
    changed[labels[:, 0] == -1] = 77  # other classes see this
    svms = train_class_svms(changed, labels, test, COSTS)
    np.testing.assert_allclose(svms[0].scores, expected[0].scores, atol=1e-3)
    assert np.abs(svms[1].scores - expected[1].scores).max() > 1e-2


def test_report_says_what_the_figures_mean() -> None:
    features, labels, test = data()
    svms = train_class_svms(features, labels, test, COSTS)
    truth = np.stack([svm.scores > 0 for svm in svms], 1).astype(int)
    truth[:, 2] = 0  # no test image shows it
    meta = dict(classes=['a', 'b', 'c'], layer='last output', dimensions=5, images=60, checkpoint=None)
    report = svm_report(svms, truth, meta, COSTS)
    assert report['mAP_11point'] == report['mAP_area'] == 100
    assert report['classes']['c']['AP_area'] is None and report['classes']['a']['AP_area'] == 100
    assert [row['cost'] for row in report['classes'].values()] == [svm.cost for svm in svms]
    table = svm_table(report)
    assert 'RANDOM-INITIALISED' in table and 'C of 0.1, 1, 10' in table and 'per_image_ap' in table


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda f, y, t: (f, y[:, 0], t), 'multi-label'),
        (lambda f, y, t: (f, y, t[:, :4]), 'same backbone'),
        (lambda f, y, t: (f * np.nan, y, t), 'NaN or infinity'),
        (
            lambda f, y, t: (f, np.where(np.arange(60)[:, None] < 2, 1, 0), t),
            'Class 0 has only 2 positive.*more images',
        ),
        (lambda f, y, t: (f, np.where(np.arange(60)[:, None] < 1, 0, 1), t), 'only 1 negative.*more images'),
    ],
)
def test_errors(change, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train_class_svms(*change(*data()), COSTS)


def test_a_class_with_few_images_is_named() -> None:
    features, labels, test = data()
    labels[:, 1] = np.arange(60) < 2
    with pytest.raises(ValueError, match='Class b has only 2 positive training images'):
        train_class_svms(features, labels, test, COSTS, names=['a', 'b', 'c'])


def test_costs_are_positive() -> None:
    with pytest.raises(ValueError, match='must be > 0'):
        train_class_svms(*data(), costs=[0.0])


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fake(name: str, *args: object) -> object:
        if name.startswith('sklearn'):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, '__import__', fake)
    with pytest.raises(ImportError, match='pip install'):
        train_class_svms(*data(), COSTS)
