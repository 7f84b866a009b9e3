"""Two gloo processes: SimCLR's bank is the global batch's, and the two losses keep their weights."""

import os
from pathlib import Path

import reference
import torch
import torch.nn.functional as F
from ranks import WORLD, run_ranks
from small_frameworks import build, views
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from clsa_mm.models import SimCLRWithDDM

BATCH, BETA = 3, 0.7
DDM = dict(ddm_temperature=0.3, beta=BETA)


def build_model() -> SimCLRWithDDM:
    """Batch norm in the backbone alone, which sees this rank's images."""
    return build('SimCLR', DDM)


def step(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', rank=rank, world_size=WORLD)
    parallel = DistributedDataParallel(build_model(), broadcast_buffers=False)
    terms = parallel(views('SimCLR', strong=1, batch=BATCH, seed=rank), [None] * BATCH, mode='loss')
    (terms['loss_contrastive'] + terms['loss_ddm']).backward()
    gradients = {name: p.grad for name, p in parallel.module.named_parameters()}
    terms = {name: term.detach() for name, term in terms.items()}
    torch.save(dict(terms=terms, gradients=gradients), f'{folder}/{rank}.pth')
    torch.distributed.barrier()  # neither leaves while the other still talks to it
    torch.distributed.destroy_process_group()


def nt_xent(features: Tensor, temperature: float) -> Tensor:
    """Algorithm 1 of SimCLR: features of 2N views, the two of an image N apart."""
    count = len(features) // 2
    losses = []
    for i, feature in enumerate(features):
        others = [k for k in range(2 * count) if k != i]
        logits = torch.stack([feature @ features[k] for k in others]) / temperature
        losses.append(torch.logsumexp(logits, 0) - logits[others.index((i + count) % (2 * count))])
    return sum(losses) / (2 * count)


def test_two_processes(tmp_path: Path):
    run_ranks(step, str(tmp_path))
    ranks = [torch.load(tmp_path / f'{rank}.pth') for rank in range(WORLD)]
    model = build_model()
    parts = []
    for rank in range(WORLD):
        inputs = views('SimCLR', strong=1, batch=BATCH, seed=rank)
        both = model.neck(model.backbone(torch.cat([*inputs['key'], *inputs['weak']])))[0]
        strong = model.neck(model.backbone(inputs['strong'][0]))[0]
        parts.append([F.normalize(features, dim=1) for features in (*both.chunk(2), strong)])
    keys, weak = (torch.cat([part[i] for part in parts]) for i in range(2))
    contrastive = nt_xent(torch.cat([keys, weak]), 0.1)
    divergences = [BETA * reference.ddm(part[1], part[2], keys.detach(), 0.3) for part in parts]
    for rank, divergence in zip(ranks, divergences, strict=True):
        torch.testing.assert_close(rank['terms']['loss_contrastive'], contrastive, rtol=0, atol=1e-9)
        torch.testing.assert_close(rank['terms']['loss_ddm'], divergence, rtol=0, atol=1e-9)
        assert rank['terms']['chance_level'].item() == torch.tensor(11.0).double().log().item()
    # mmpretrain's share of the gradient, for the sum of both terms over the global batch.
    total = (contrastive + sum(divergences) / WORLD) / WORLD
    expected = torch.autograd.grad(total, list(model.parameters()))
    for rank in ranks:
        for (name, _), gradient in zip(model.named_parameters(), expected, strict=True):
            torch.testing.assert_close(rank['gradients'][name], gradient, rtol=0, atol=1e-9, msg=name)
