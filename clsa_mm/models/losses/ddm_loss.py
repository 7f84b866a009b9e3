"""Distributional divergence minimisation (DDM) on logits, equation 4 of the paper."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.losses.precision import full_precision, mean_of, scaled_logits


def ddm_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    student_temperature: float = 1.0,
    teacher_temperature: float = 1.0,
) -> Tensor:
    r"""Cross-entropy between a weak and a strong view's distribution over the bank.

    .. math::
        L_{DDM} = -\frac{1}{N} \sum_{n=1}^{N} \sum_{m=1}^{M}
            p(m \mid \text{weak}_n) \log p(m \mid \text{strong}_n)

    with both distributions the softmax of logits / temperature. It is the Kullback-Leibler divergence
    KL(weak || strong) plus the entropy of the weak distribution, which carries no gradient.

    Args:
        student_logits: Strong views' logits, shape (N, M), any float type. Divided by the temperature, logits
            count up to 1/1024 of the type's largest number, 3e35 in float32; what is beyond counts as that.
        teacher_logits: Weak views' logits, shape (N, M). Detached inside: no gradient reaches them.
        student_temperature: Divides ``student_logits``. Logits are taken as they are by default.
        teacher_temperature: Divides ``teacher_logits``.

    Returns:
        The mean over samples, a scalar. Half precisions are computed (and returned) in float32, whatever
        the autocast state; float64 stays float64. Finite for any finite logits.

    Raises:
        ValueError: If the shapes differ, are not (N, M), or a temperature is not positive.

    Example:
        >>> import torch
        >>> from clsa_mm.models.losses import ddm_loss
        >>> round(ddm_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, -1.0]])).item(), 6)
        0.693147

    Source: equation 4 of arXiv 2104.07713; ``training/train.py`` of the official code, which takes the
    logarithm of a softmax and so is not finite where the softmax underflows.
    """
    return multi_view_ddm_loss([student_logits], [teacher_logits], student_temperature, teacher_temperature)


def multi_view_ddm_loss(
    student_logits: Sequence[Tensor],
    teacher_logits: Sequence[Tensor],
    student_temperature: float = 1.0,
    teacher_temperature: float = 1.0,
) -> Tensor:
    r"""Sum of :func:`ddm_loss` over all pairs of a strong (student) and a weak (teacher) view.

    The teachers' distributions are added up once, so that each student needs a single product:

    .. math::
        \sum_{w,s} L(s, w) = -\frac{1}{N} \sum_n \sum_s
            \Big\langle \sum_w p^w_n, \log p^s_n \Big\rangle

    Time and memory grow with S + W, not with S * W.

    Args:
        student_logits: S tensors (N, M), one for each strong view.
        teacher_logits: W tensors (N, M), one for each weak view. Detached inside.
        student_temperature: Divides the students' logits.
        teacher_temperature: Divides the teachers' logits.

    Returns:
        The sum over the S * W pairs (as the official code sums) of the means over samples, a scalar.

    Raises:
        ValueError: If a sequence is empty, the shapes differ, or a temperature is not positive.
    """
    _check(student_logits, teacher_logits, student_temperature, teacher_temperature)
    with full_precision(student_logits[0]):
        with torch.no_grad():
            target = torch.softmax(scaled_logits(teacher_logits[0], teacher_temperature), dim=1)
            for teacher in teacher_logits[1:]:
                target += torch.softmax(scaled_logits(teacher, teacher_temperature), dim=1)
        loss = target.new_zeros(())
        for student in student_logits:
            log_prob = F.log_softmax(scaled_logits(student, student_temperature), dim=1)
            loss = loss - mean_of((target * log_prob).sum(dim=1))
        return loss


def _check(
    students: Sequence[Tensor], teachers: Sequence[Tensor], student_t: float, teacher_t: float
) -> None:
    if not len(students) or not len(teachers):
        raise ValueError(
            f'DDM needs at least one student (strong) and one teacher (weak) view, got {len(students)} '
            f'and {len(teachers)}; set beta=0 and leave the strong views out to train without DDM'
        )
    shapes = [tuple(logits.shape) for logits in (*students, *teachers)]
    if len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise ValueError(
            f'student and teacher logits must all have one shape (N, M), got {shapes}; compute every '
            "view's logits over the same bank"
        )
    check_numbers('ddm_loss', student_temperature=student_t, teacher_temperature=teacher_t)
    if student_t <= 0 or teacher_t <= 0:
        raise ValueError(f'temperatures must be positive, got {student_t} and {teacher_t}')
