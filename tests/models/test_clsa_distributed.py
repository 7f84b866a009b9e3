"""Two gloo processes: same queue on both ranks, and the losses of the paper over the gathered features."""

import copy
import os
from pathlib import Path

import pytest
import reference
import torch
from gloo_ranks import WORLD, run_ranks
from mmengine.dist import get_rank
from small_runs import Projection, Stem
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from clsa_mm.models import CLSA

BATCH, STEPS = 3, 3
PREPROCESSOR = dict(type='mmengine.BaseDataPreprocessor')


def build(bank: str, seed: int = 0) -> CLSA:
    torch.manual_seed(seed)
    model = CLSA(
        Stem(),
        Projection(),
        queue_len=10,
        feat_dim=6,
        momentum=0.9,
        bank=bank,
        data_preprocessor=PREPROCESSOR,
    ).double()
    model.init_weights()
    return model


def inputs_of(rank: int, step: int) -> dict[str, list[Tensor]]:
    generator = torch.Generator().manual_seed(100 * step + rank)
    return {
        role: [torch.randn(BATCH, 3, 9, 9, generator=generator, dtype=torch.float64)]
        for role in ('key', 'weak', 'strong')
    }


def train(rank: int, port: int, bank: str, folder: str) -> None:
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', rank=rank, world_size=WORLD)
    # Each rank draws other weights and another queue; wrapping takes over those of rank 0.
    model = build(bank, seed=rank)
    parallel = DistributedDataParallel(model, broadcast_buffers=False)
    optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
    record = []
    for step in range(STEPS):
        before = copy.deepcopy(model.state_dict())
        keys, own = copy.deepcopy(model).encode_keys(inputs_of(rank, step)['key'][0])
        losses = parallel(inputs_of(rank, step), mode='loss')
        optimizer.zero_grad()
        (losses['loss_contrastive'] + losses['loss_ddm']).backward()
        record.append(
            dict(
                before=before,
                keys=keys,
                own=(own.start, own.stop),
                losses={name: value.detach() for name, value in losses.items()},
                gradient=model.backbone.conv.weight.grad.clone(),
            )
        )
        optimizer.step()
        model.enqueue()
        model.momentum_update()
    assert get_rank() == rank
    torch.save(dict(steps=record, after=model.state_dict()), Path(folder) / f'{rank}.pth')
    torch.distributed.barrier()  # neither leaves while the other still talks to it
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('bank', ['batch', 'own'])
def test_two_processes(bank, tmp_path):
    run_ranks(train, bank, str(tmp_path))
    ranks = [torch.load(tmp_path / f'{rank}.pth') for rank in range(WORLD)]

    for step in range(STEPS):
        records = [ranks[rank]['steps'][step] for rank in range(WORLD)]
        state = records[0]['before']
        # Weights and queue are the same on both ranks; BatchNorm's buffers are each rank's own.
        for name, value in state.items():
            if 'running' not in name:
                assert value.equal(records[1]['before'][name]), name
        keys = records[0]['keys']
        assert torch.equal(keys, records[1]['keys'])
        assert [record['own'] for record in records] == [(0, BATCH), (BATCH, 2 * BATCH)]

        losses, queries_loss = [], []
        reference_model = build(bank)
        reference_model.load_state_dict(state)
        for rank, record in enumerate(records):
            views = inputs_of(rank, step)
            q, s = (reference_model.encode_query(views[role][0]) for role in ('weak', 'strong'))
            if bank == 'batch':
                rows = torch.cat([keys, state['queue.keys']])
                terms = reference.clsa([q], [s], range(rank * BATCH, (rank + 1) * BATCH), rows, 0.2, 0.2, 1)
            else:
                own = keys[rank * BATCH : (rank + 1) * BATCH]
                terms = reference.clsa_own_key([q], [s], own, state['queue.keys'], 0.2, 0.2, 1)
            torch.testing.assert_close(record['losses']['loss_contrastive'], terms[0], rtol=0, atol=1e-9)
            torch.testing.assert_close(record['losses']['loss_ddm'], terms[1], rtol=0, atol=1e-9)
            losses.append(sum(terms))
            queries_loss.append(q)
        # DDP averages gradients over ranks.
        (gradient,) = torch.autograd.grad(sum(losses) / WORLD, reference_model.backbone.conv.weight)
        for record in records:
            torch.testing.assert_close(record['gradient'], gradient, rtol=0, atol=1e-9)

    # The queue holds the keys of all ranks, in the order of the ranks, identical on both.
    enqueued = torch.cat([ranks[0]['steps'][step]['keys'] for step in range(STEPS)])
    assert len(enqueued) == 18
    expected = enqueued[8:].roll(18 % 10, dims=0)
    for rank in range(WORLD):
        assert torch.equal(ranks[rank]['after']['queue.keys'], expected)
        assert ranks[rank]['after']['queue.num_enqueued'] == 18


def shuffle_worker(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), LOCAL_RANK=str(rank))
    torch.distributed.init_process_group('gloo', rank=rank, world_size=WORLD)
    from clsa_mm.models.selfsup.shuffle_bn import BatchShuffle

    mine = torch.arange(4.0)[:, None] + 10 * rank
    result = []
    for seed in (0, 1, 0):
        shuffle = BatchShuffle(4, seed)
        shuffled = shuffle.shuffle(mine)
        result.append((shuffled, shuffle.gather_unshuffled(shuffled)))
    torch.save(result, Path(folder) / f'{rank}.pth')
    torch.distributed.barrier()  # neither leaves while the other still talks to it
    torch.distributed.destroy_process_group()


def test_shuffle_mixes_ranks_and_is_undone(tmp_path):
    run_ranks(shuffle_worker, str(tmp_path))
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in range(WORLD))
    everything = torch.tensor([0.0, 1, 2, 3, 10, 11, 12, 13])[:, None]
    for (shuffled_0, whole_0), (shuffled_1, whole_1) in zip(first, second, strict=True):
        assert torch.equal(whole_0, everything) and torch.equal(whole_1, everything)
        together = torch.cat([shuffled_0, shuffled_1])
        assert not torch.equal(together, everything)
        assert torch.equal(together.sort(dim=0).values, everything)
        assert {int(v) // 10 for v in shuffled_0.flatten()} == {0, 1}
    assert not torch.equal(first[0][0], first[1][0])
    assert torch.equal(first[0][0], first[2][0])
