"""The losses against loops over the equations, scipy, hand values and finite differences."""

import math

import numpy as np
import pytest
import reference
import torch
import torch.nn.functional as F
from scipy.special import softmax
from scipy.stats import entropy

from clsa_mm.models.losses import ddm_loss, info_nce_loss, multi_view_ddm_loss


def unit(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def test_ddm_hand_value():
    student = torch.log(torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64))
    teacher = torch.log(torch.tensor([[0.2, 0.4, 0.4]], dtype=torch.float64))
    expected = -(0.2 * math.log(0.5) + 0.8 * math.log(0.25))
    assert ddm_loss(student, teacher).item() == pytest.approx(expected, abs=1e-12)


def test_ddm_is_kl_plus_entropy_by_scipy():
    student, teacher = unit(5, 11, seed=0) * 3, unit(5, 11, seed=1) * 3
    p, q = softmax(teacher.numpy() / 0.2, axis=1), softmax(student.numpy() / 0.5, axis=1)
    expected = np.mean(entropy(p, q, axis=1) + entropy(p, axis=1))
    assert ddm_loss(student, teacher, 0.5, 0.2).item() == pytest.approx(expected, abs=1e-9)
    # The direction matters.
    assert ddm_loss(teacher, student, 0.2, 0.5).item() != pytest.approx(expected, abs=1e-3)


def test_losses_and_gradients_equal_the_equations():
    bank = unit(13, 6, seed=2)
    weak, strong = unit(4, 6, seed=3).requires_grad_(), unit(4, 6, seed=4).requires_grad_()
    ours = info_nce_loss(weak @ bank.T, torch.arange(4), 0.2)
    ours = ours + ddm_loss(strong @ bank.T, weak @ bank.T, 0.15, 0.15)
    gradients = torch.autograd.grad(ours, (weak, strong))

    slow = reference.contrastive(weak, range(4), bank, 0.2) + reference.ddm(weak, strong, bank, 0.15)
    expected = torch.autograd.grad(slow, (weak, strong))
    torch.testing.assert_close(ours, slow, rtol=0, atol=1e-9)
    torch.testing.assert_close(gradients, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(('num_strong', 'num_weak'), [(1, 1), (5, 5), (2, 3), (3, 1)])
def test_multi_view_is_the_sum_over_pairs(num_strong, num_weak):
    bank = unit(13, 6, seed=5)
    weak = [unit(4, 6, seed=10 + i) for i in range(num_weak)]
    strong = [unit(4, 6, seed=20 + i).requires_grad_() for i in range(num_strong)]
    ours = multi_view_ddm_loss([s @ bank.T for s in strong], [w @ bank.T for w in weak], 0.2, 0.2)
    slow = sum(reference.ddm(w, s, bank, 0.2) for w in weak for s in strong)
    torch.testing.assert_close(ours, slow, rtol=0, atol=1e-9)
    torch.testing.assert_close(
        torch.autograd.grad(ours, strong), torch.autograd.grad(slow, strong), rtol=0, atol=1e-9
    )


def test_gradcheck():
    student = [unit(3, 7, seed=30 + i).requires_grad_() for i in range(2)]
    teacher = [unit(3, 7, seed=40 + i) for i in range(2)]
    assert torch.autograd.gradcheck(lambda *s: multi_view_ddm_loss(s, teacher, 0.2, 0.3), tuple(student))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_finite_at_the_ends_of_the_range(dtype):
    largest = torch.finfo(dtype).max
    student = torch.tensor([[largest, -largest, 0.0]], dtype=dtype, requires_grad=True)
    teachers = [torch.tensor([[-largest, largest, 0.0]], dtype=dtype)] * 5
    loss = multi_view_ddm_loss([student] * 5, teachers, 0.2, 0.2)
    loss = loss + info_nce_loss(student, torch.tensor([1]), 0.2)
    loss.backward()
    assert torch.isfinite(loss) and loss > 1e30
    assert torch.isfinite(student.grad).all()


def test_no_gradient_reaches_the_teacher():
    student, teacher = unit(3, 7, seed=0).requires_grad_(), unit(3, 7, seed=1).requires_grad_()
    ddm_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize('size', [1e4, 1e30])
def test_finite_where_log_of_softmax_is_not(size):
    student = torch.tensor([[size, -size, 0.0]], requires_grad=True)
    teacher = torch.tensor([[size, 0.0, -size]])
    assert not torch.isfinite(-(torch.softmax(teacher, 1) * torch.log(torch.softmax(student, 1))).sum())
    loss = ddm_loss(student, teacher)
    loss.backward()
    # Both distributions are all on the first entry.
    assert loss.item() == 0
    assert student.grad.tolist() == [[0, 0, 0]]
    # The student is sure of what the teacher rules out: the distance of the two logits.
    assert ddm_loss(-student, teacher).item() == pytest.approx(2 * size, rel=1e-6)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_float32_inside_under_autocast(dtype):
    student, teacher = unit(8, 500, seed=1).to(dtype), unit(8, 500, seed=2).to(dtype)
    labels = torch.arange(8)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        ours = ddm_loss(student, teacher, 0.07, 0.07)
        nce = info_nce_loss(student, labels, 0.07)
    assert ours.dtype == nce.dtype == torch.float32
    exact = ddm_loss(student.double(), teacher.double(), 0.07, 0.07)
    assert exact.dtype == torch.float64
    torch.testing.assert_close(ours.double(), exact, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        nce.double(), info_nce_loss(student.double(), labels, 0.07), rtol=1e-6, atol=1e-6
    )


def test_work_grows_with_views_not_with_pairs():
    """Passes over the bank: one softmax a teacher, one log-softmax and product a student, none a pair."""
    counts = {}
    for views in (1, 4):
        students = [unit(2, 9, seed=i).requires_grad_() for i in range(views)]
        teachers = [unit(2, 9, seed=9 + i) for i in range(views)]
        with torch.profiler.profile() as profile:
            multi_view_ddm_loss(students, teachers).backward()
        names = ('aten::_softmax', 'aten::_log_softmax')
        counts[views] = [
            sum(event.count for event in profile.key_averages() if event.key == name) for name in names
        ]
    assert counts[1][0] > 0 and counts[1][1] > 0
    assert counts[4] == [4 * count for count in counts[1]]


def test_errors_name_cause_and_remedy():
    with pytest.raises(ValueError, match=r'one shape \(N, M\).*same bank'):
        ddm_loss(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match='at least one student.*set beta=0'):
        multi_view_ddm_loss([], [torch.zeros(2, 3)])
    with pytest.raises(ValueError, match='temperatures must be positive, got 0'):
        ddm_loss(torch.zeros(2, 3), torch.zeros(2, 3), student_temperature=0)
    with pytest.raises(ValueError, match='temperature must be positive'):
        info_nce_loss(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), -1)
    with pytest.raises(ValueError, match=r'logits must be \(N, M\) and labels \(N,\)'):
        info_nce_loss(torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64))
