"""SupCon with a queue: the bank's positives, and the model in one process and in two."""

import copy
import os
from pathlib import Path

import pytest
import reference_supcon as reference
import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from ranks import WORLD, run_ranks
from small_runs import Projection, Stem
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from clsa_mm.models import CLSA, DDMHead, FeatureTransformHead, LabelledBank, MoCHiHead

EXACT = dict(rtol=0, atol=1e-9)
LABELS = [[[0, 1, 1], [2, 0, 1]], [[1, 1, 0], [0, 4, 4]], [[3, 3, 3], [1, 0, 0]]]  # by step and rank


def unit(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def made_bank(own: bool) -> tuple[LabelledBank, list[Tensor], list[list[int]]]:
    """A bank for samples of labels 2, 0, 2, and the rows that each meets, with their labels."""
    keys, queue = unit(5, 6, seed=0), unit(8, 6, seed=1)
    key_labels, queue_labels = [2, 0, 2, 1, 0], [-1, 2, 0, -1, 5, 2, 2, 1]
    labels = torch.tensor(key_labels)
    if not own:
        bank = LabelledBank(keys[:3], [keys, queue], labels[:3], [labels, torch.tensor(queue_labels)])
        return bank, [torch.cat([keys, queue])] * 3, [key_labels + queue_labels] * 3
    further = unit(3, 2, 6, seed=2)
    further[:, 0] = keys[:3]
    bank = LabelledBank(keys[:3], [queue], labels[:3], [torch.tensor(queue_labels)], own=further)
    rows = [torch.cat([queue, each]) for each in further]
    return bank, rows, [[*queue_labels, label, label] for label in key_labels[:3]]


@pytest.mark.parametrize('own', [False, True])
def test_positives_are_all_keys_of_the_label(own):
    bank, rows, row_labels = made_bank(own)
    views = unit(2, 3, 6, seed=3)
    positive, negative = bank.positive_similarity(views), bank.negative_similarity(views)
    for view in range(2):
        for i, label in enumerate([2, 0, 2]):
            similarities = rows[i] @ views[view, i]
            same = torch.tensor([other == label for other in row_labels[i]])
            torch.testing.assert_close(positive[view, i], similarities[same].mean(), **EXACT)
            torch.testing.assert_close(negative[view, i], similarities[~same].mean(), **EXACT)


@pytest.mark.parametrize('own', [False, True])
def test_the_contrastive_loss_is_supcons(own):
    bank, rows, row_labels = made_bank(own)
    ours, slow = (unit(2, 3, 6, seed=3).requires_grad_() for _ in range(2))
    loss = DDMHead(temperature=0.1)(list(ours), [], bank)['loss_contrastive']
    expected = sum(reference.supcon_bank(view, [2, 0, 2], rows, row_labels, 0.1) for view in slow)
    torch.testing.assert_close(loss, expected, **EXACT)
    gradients = [torch.autograd.grad(*pair)[0] for pair in ((loss, ours), (expected, slow))]
    torch.testing.assert_close(*gradients, **EXACT)


def test_gradcheck():
    bank, _, _ = made_bank(own=True)
    loss = lambda x: DDMHead()([F.normalize(x, dim=1)], [], bank)['loss_contrastive']  # noqa: E731
    assert torch.autograd.gradcheck(loss, [unit(3, 6, seed=4).requires_grad_()])


def test_a_bank_of_one_class_has_no_negatives():
    keys = unit(3, 6, seed=0)
    labels = torch.zeros(3, dtype=torch.int64)
    bank = LabelledBank(keys, [keys], labels, [labels])
    assert bank.negative_similarity(keys).abs().max() < 1e-12


@pytest.mark.parametrize('head', [FeatureTransformHead(), MoCHiHead(num_hard=2)])
def test_positives_of_the_queue_are_not_mixed_as_negatives(head):
    bank, _, _ = made_bank(own=True)
    bank.own = bank.own[:, :1]  # what bank='own' makes
    with pytest.raises(ValueError, match='positives of a query are among them: set model.supervised=False'):
        head([unit(3, 6, seed=3)], [], bank)


def test_labels_that_do_not_fit():
    keys, labels = unit(3, 6, seed=0), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r'must have the shapes \[\(3,\), \(3,\)\], got \[\(3,\), \(2,\)\]'):
        LabelledBank(keys, [keys], labels, [labels[:2]])
    with pytest.raises(ValueError, match="supervised=True needs .*: set bank to 'batch' or 'own'"):
        build('queue')


def build(bank: str, seed: int = 0, **settings: object) -> CLSA:
    torch.manual_seed(seed)
    model = CLSA(
        Stem(),
        Projection(),
        queue_len=10,
        feat_dim=6,
        momentum=0.9,
        bank=bank,
        supervised=True,
        data_preprocessor=dict(type='mmengine.BaseDataPreprocessor'),
        **settings,
    ).double()
    model.init_weights()
    return model


def inputs_of(rank: int, step: int) -> tuple[dict[str, list[Tensor]], list[DataSample]]:
    generator = torch.Generator().manual_seed(100 * step + rank)
    views = {
        role: [torch.randn(3, 3, 9, 9, generator=generator, dtype=torch.float64)] for role in ('key', 'weak')
    }
    return views, [DataSample().set_gt_label(label) for label in LABELS[step][rank]]


def worker(rank: int, port: int, bank: str, folder: str) -> None:
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', rank=rank, world_size=WORLD)
    model = build(bank, seed=rank)
    parallel = DistributedDataParallel(model, broadcast_buffers=False)
    record = []
    for step in range(len(LABELS)):
        before = copy.deepcopy(model.state_dict())
        views, samples = inputs_of(rank, step)
        keys, _ = copy.deepcopy(model).encode_keys(views['key'][0])
        loss = parallel(views, samples, mode='loss')['loss_contrastive']
        record.append((before, keys, loss.detach()))
        loss.backward()
        model.enqueue()
    torch.save((record, model.queue.state_dict()), f'{folder}/{rank}')
    torch.distributed.barrier()  # neither leaves while the other still talks to it
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('bank', ['batch', 'own'])
def test_two_processes(bank: str, tmp_path: Path):
    """Losses over the keys and labels of both, and the same labels in both queues."""
    run_ranks(worker, bank, str(tmp_path))
    ranks = [torch.load(tmp_path / str(rank)) for rank in range(WORLD)]
    enqueued = [label for step in LABELS for labels in step for label in labels]
    for rank, (record, queue) in enumerate(ranks):
        for step, (state, keys, loss) in enumerate(record):
            model = build(bank)
            model.load_state_dict(state)
            views, _ = inputs_of(rank, step)
            queries, labels = model.encode_query(views['weak'][0]), LABELS[step][rank]
            own, stored = keys[3 * rank : 3 * rank + 3], state['queue.labels'].tolist()
            if bank == 'batch':
                rows = [torch.cat([keys, state['queue.keys']])] * 3
                row_labels = [[*LABELS[step][0], *LABELS[step][1], *stored]] * 3
            else:
                rows = [torch.cat([key[None], state['queue.keys']]) for key in own]
                row_labels = [[label, *stored] for label in labels]
            expected = reference.supcon_bank(queries, labels, rows, row_labels, 0.2)
            torch.testing.assert_close(loss, expected.detach(), **EXACT)
        assert queue['num_enqueued'] == 18
        assert queue['labels'].roll(-18 % 10).tolist() == enqueued[-10:]
    assert torch.equal(ranks[0][1]['keys'], ranks[1][1]['keys'])


def test_symmetric_enqueues_the_labels_of_both_keys():
    model = build('own', symmetric=True)
    model.loss(*inputs_of(0, 0))
    model.enqueue()
    assert model.queue.labels.tolist() == [*LABELS[0][0] * 2, -1, -1, -1, -1]


def test_a_label_is_needed():
    views, _ = inputs_of(0, 0)
    with pytest.raises(ValueError, match='0 of 0 images have a label, .*labels=True'):
        build('own').loss(views)
