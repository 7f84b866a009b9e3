"""MoCHi against a loop over its equations."""

import pytest
import reference_transform as slow
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub

from clsa_mm.models import Bank, DDMHead, MoCHiHead
from clsa_mm.models.heads import mochi_head


def unit(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


KEYS, QUEUE = unit(4, 8, seed=1), unit(30, 8, seed=2)


@pytest.fixture(autouse=True)
def hub(monkeypatch) -> MessageHub:
    hub = MessageHub('a run of its own')
    monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)
    return hub


def own_bank() -> Bank:
    return Bank(KEYS, [QUEUE], own=KEYS[:, None])


@pytest.fixture
def head() -> MoCHiHead:
    return MoCHiHead(num_hard=6, num_mixed=5, num_query_mixed=3, temperature=0.2)


def drawn(queries: int) -> tuple[list, list]:
    """What the head draws after ``manual_seed(0)``, for each query: pairs with alpha, singles with beta."""
    torch.manual_seed(0)
    first, single = torch.randint(6, (queries, 5)), torch.randint(6, (queries, 3))
    second = (first + torch.randint(1, 6, (queries, 5))) % 6
    alpha = torch.rand(queries, 5, 1, dtype=torch.float64)
    beta = torch.rand(queries, 3, 1, dtype=torch.float64) / 2
    assert (first != second).all() and (beta < 0.5).all()
    return (
        [list(zip(*row, strict=True)) for row in zip(first, second, alpha[..., 0], strict=True)],
        [list(zip(*row, strict=True)) for row in zip(single, beta[..., 0], strict=True)],
    )


@pytest.mark.parametrize('chunk', [7, 8192])
def test_loss_and_gradient_equal_the_equations(head, chunk, monkeypatch):
    monkeypatch.setattr(mochi_head, 'CHUNK', chunk)
    views = unit(2, 4, 8, seed=0).requires_grad_()
    torch.manual_seed(0)
    terms = head.loss(list(views), [], own_bank())
    pairs, singles = drawn(8)
    losses = []
    for n, query in enumerate(views.flatten(0, 1)):
        synthetic = slow.mochi_negatives(query.detach(), QUEUE, 6, pairs[n], singles[n])
        losses.append(slow.info_nce(query, KEYS[n % 4], [*QUEUE, *synthetic], 0.2))
    expected = sum(losses) / 4
    torch.testing.assert_close(terms['loss_contrastive'], expected, rtol=0, atol=1e-9)
    ours, theirs = (torch.autograd.grad(loss, views)[0] for loss in (terms['loss_contrastive'], expected))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    assert terms['chance_level'].item() == pytest.approx(2 * torch.tensor(39.0).log().item())


def test_synthetic_negatives_are_unit_and_harder(head):
    """Those with a share of the query are nearer to it than the negatives that they are made of."""
    queries = unit(4, 8, seed=0)
    synthetic = head.synthesise(queries, QUEUE)
    assert synthetic.shape == (4, 8, 8) and not synthetic.requires_grad
    torch.testing.assert_close(synthetic.norm(dim=-1), torch.ones(4, 8).double())
    sixth = (queries @ QUEUE.T).sort(descending=True).values[:, 5:6]
    similarities = (synthetic * queries[:, None]).sum(-1)
    assert (similarities[:, 5:] > sixth).all()


def test_hardest_keys_over_chunks(monkeypatch):
    monkeypatch.setattr(mochi_head, 'CHUNK', 100)
    queries, keys = unit(5, 16, seed=0).float(), unit(1234, 16, seed=1).float()
    assert torch.equal(
        mochi_head.hardest_keys(queries, keys, 300), (queries @ keys.T).argsort(descending=True)[:, :300]
    )
    with pytest.raises(ValueError, match='1234 negatives, but num_hard=1300: lower model.head.num_hard or'):
        mochi_head.hardest_keys(queries, keys, 1300)


@pytest.mark.parametrize(('mixed', 'query_mixed'), [(5, 0), (0, 3)])
def test_either_kind_alone(mixed, query_mixed):
    head = MoCHiHead(num_hard=6, num_mixed=mixed, num_query_mixed=query_mixed)
    assert head.synthesise(unit(4, 8, seed=0), QUEUE).shape == (4, mixed + query_mixed, 8)


def test_the_plain_loss_before_the_start_epoch(hub):
    head = MoCHiHead(num_hard=6, start_epoch=1)
    queries = [unit(4, 8, seed=0)]
    plain = DDMHead().loss(queries, [], own_bank())['loss_contrastive']
    assert torch.equal(head.loss(queries, [], own_bank())['loss_contrastive'], plain)
    hub.update_info('epoch', 1)
    assert head.loss(queries, [], own_bank())['loss_contrastive'] > plain


def test_shared_positives_are_refused(head):
    with pytest.raises(ValueError, match="apart from the positives: set model.bank='own'"):
        head.loss([unit(4, 8, seed=0)], [], Bank(KEYS, [KEYS, QUEUE]))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(num_hard=1), 'num_hard must be at least 2'),
        (
            dict(num_mixed=0, num_query_mixed=0),
            "got 1024, 0 and 0; without synthetic negatives take 'DDMHead'",
        ),
        (dict(max_query_share=1.0), r'max_query_share must be in \(0, 1\), got 1.0'),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MoCHiHead(**arguments)
