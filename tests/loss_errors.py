"""How far each loss and its gradient are from a slow transcription of its equations, in float64.

Runs the tests that compare them and notes what they compare: single numbers are values, tensors gradients.
The error of a value is relative to it, that of gradients the largest difference relative to the largest entry
of all that are compared together.

    python tests/loss_errors.py
"""

import contextlib
import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from torch.utils._pytree import tree_leaves

MODELS = Path(__file__).parent / 'models'
LOSSES, HEAD = 'test_losses_and_gradients_equal_the_', 'test_loss_and_gradient_equal_the_equations'
TESTS = {
    'InfoNCE and DDM on logits': f'test_losses.py::{LOSSES}equations',
    'CLSA, shared and own positives': f'test_clsa.py::{LOSSES}equations',
    'contrastive loss in place of DDM': f'test_strong_contrastive_head.py::{LOSSES}equation',
    'ReSSL': 'test_relatives.py::test_ressl_teaches_views_by_the_key_over_the_queue',
    'SimCLR, BYOL, SimSiam, SwAV with DDM': 'test_frameworks.py::'
    'test_losses_and_gradients_are_mmpretrains_and_equation_4',
    'feature transformation': f'test_feature_transform.py::{HEAD}',
    'feature transformation of SimCLR': 'test_feature_transform_frameworks.py::'
    'test_batch_loss_and_gradient_equal_the_equations',
    'feature transformation of SimSiam': 'test_feature_transform_frameworks.py::'
    'test_predictions_equal_the_equations',
    'MoCHi': f'test_mochi.py::{HEAD}',
    'Un-Mix': f'test_unmix.py::{LOSSES}official_sum',
    'SupCon, sum outside and inside': 'test_supcon_losses.py::'
    'test_each_anchor_and_its_gradient_equal_the_equations',
    'SupCon over a queue': 'test_supcon_queue.py::test_the_contrastive_loss_is_supcons',
    'max-margin': 'test_supcon_losses.py::test_max_margin_equals_the_equation',
}


class Recorder:
    """Notes the largest error of what each test compares, values and gradients apart."""

    def __init__(self) -> None:
        self.compared = torch.testing.assert_close
        self.errors: dict[str, dict[bool, list[tuple[float, int]]]] = defaultdict(lambda: defaultdict(list))
        self.test = ''

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Note which test runs."""
        self.test = item.nodeid.split('[')[0].split('/')[-1]

    def compare(self, ours: object, expected: object, **settings: object) -> None:
        """Compare as before, and note the error of each pair in float64."""
        self.compared(ours, expected, **settings)
        pairs = zip(tree_leaves(ours), tree_leaves(expected), strict=True)
        pairs = [(one, other) for one, other in pairs if _is_float64(other)]
        if pairs:
            largest = max(other.abs().max().item() for _, other in pairs)
            error = max((one - other).abs().max().item() for one, other in pairs) / largest
            self.errors[self.test][pairs[0][1].dim() == 0].append((error, len(pairs)))


def _is_float64(leaf: object) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.dtype == torch.float64 and bool(leaf.any())


def main() -> None:
    """Run the tests and print a table in Markdown."""
    recorder = Recorder()
    torch.testing.assert_close = recorder.compare
    with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere):
        status = pytest.main(['-q', *(f'{MODELS}/{test}' for test in TESTS.values())], plugins=[recorder])
    if status:
        sys.exit('some of the tests fail: run them with pytest')
    print('| loss | value | gradient | compared |\n|---|---|---|---|')
    for name, test in TESTS.items():
        values, gradients = (recorder.errors[test][single] for single in (True, False))
        columns = [f'{max(errors)[0]:.0e}' if errors else '-' for errors in (values, gradients)]
        number = sum(tensors for _, tensors in gradients)
        print(f'| {name} | {" | ".join(columns)} | {len(values)} values, {number} gradients |')


if __name__ == '__main__':
    main()
