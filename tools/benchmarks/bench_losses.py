"""Time and memory of the losses over the bank: the official way, on logits, and by attention over the bank.

The official code multiplies with the bank anew for each pair of a weak and a strong view, and takes softmax
and logarithm of each; on logits there is one product per view; attention makes no tensor of that length.
All three compute the same losses and gradients, which is checked. They take turns, forward and backward, so
that other load hits all alike, and the fastest of each counts; on a busy machine CPU time says more. Memory
is the peak of a fresh process on top of the inputs (on Linux), on a GPU torch's.

    python tools/benchmarks/bench_losses.py
    python tools/benchmarks/bench_losses.py --threads 1 --cpu-time
    python tools/benchmarks/bench_losses.py --device cuda --repeat 50
"""

import argparse
import multiprocessing
import re
import time
from collections.abc import Callable
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import torch
import torch.nn.functional as F
from torch import Tensor

from clsa_mm.models import Bank, DDMHead
from clsa_mm.models.losses import info_nce_loss, multi_view_ddm_loss
from clsa_mm.models.losses.attention_kernels import kernel_for

TEMPERATURE = 0.2
CASES = {'CLSA-Multi, 5 x 5 views': 5, 'CLSA-Single, 1 x 1 views': 1}


def official(weak: list[Tensor], strong: list[Tensor], keys: Tensor, queue: Tensor) -> Tensor:
    """The arithmetic of the official ``model/CLSA.py`` and ``training/train.py``."""
    columns = queue.T  # (C, K), as it is stored there

    def logits_of(queries: Tensor) -> Tensor:
        positives = torch.einsum('nc,ck->nk', queries, keys.T)
        negatives = torch.einsum('nc,ck->nk', queries, columns.clone().detach())
        return torch.cat([positives, negatives], dim=1).div_(TEMPERATURE)

    labels = torch.arange(len(keys), device=keys.device)
    contrastive, divergence = 0, 0
    pairs = []
    for queries in weak:
        logits = logits_of(queries)
        contrastive = contrastive + F.cross_entropy(logits, labels)
        target = torch.softmax(logits.clone().detach() * TEMPERATURE / TEMPERATURE, dim=1).detach()
        pairs += [(torch.softmax(logits_of(student), dim=1), target) for student in strong]
    for predicted, target in pairs:
        divergence = divergence - torch.mean(torch.sum(torch.log(predicted) * target, dim=1))
    return contrastive + divergence


def on_logits(weak: list[Tensor], strong: list[Tensor], keys: Tensor, queue: Tensor) -> Tensor:
    """The losses on logits: one product with the bank per view."""
    bank = torch.cat([keys, queue])
    labels = torch.arange(len(keys), device=keys.device)
    weak_logits, strong_logits = [z @ bank.T for z in weak], [z @ bank.T for z in strong]
    contrastive = sum(info_nce_loss(logits, labels, TEMPERATURE) for logits in weak_logits)
    return contrastive + multi_view_ddm_loss(strong_logits, weak_logits, TEMPERATURE, TEMPERATURE)


def by_attention(weak: list[Tensor], strong: list[Tensor], keys: Tensor, queue: Tensor) -> Tensor:
    """What a training computes."""
    head = DDMHead(temperature=TEMPERATURE, ddm_temperature=TEMPERATURE)
    terms = head.loss(weak, strong, Bank(keys, [keys, queue]))
    return terms['loss_contrastive'] + terms['loss_ddm']


WAYS: dict[str, Callable[..., Tensor]] = {
    'official': official,
    'on logits': on_logits,
    'attention': by_attention,
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--queue-len', type=int, default=65536)
    parser.add_argument('--repeat', type=int, default=10)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--cpu-time', action='store_true', help='of all threads, in place of time passed')
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def inputs(args: argparse.Namespace, views: int, batch_size: int, queue_len: int) -> tuple:
    """Weak and strong queries, keys and queue."""
    generator = torch.Generator().manual_seed(0)

    def unit(number: int) -> Tensor:
        return F.normalize(torch.randn(number, 128, generator=generator), dim=1).to(args.device)

    weak, strong = ([unit(batch_size).requires_grad_() for _ in range(views)] for _ in range(2))
    return weak, strong, unit(batch_size), unit(queue_len)


def run(
    way: str, tensors: tuple, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float, list[Tensor]]:
    """Seconds of forward and backward, the loss and its gradients."""
    weak, strong, *_ = tensors
    synchronize(weak[0].device)
    start = clock()
    loss = WAYS[way](*tensors)
    gradients = torch.autograd.grad(loss, [*weak, *strong])
    synchronize(weak[0].device)
    return clock() - start, loss.item(), list(gradients)


def synchronize(device: torch.device) -> None:
    """Wait for the GPU, if it is one."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def peak_memory(args: argparse.Namespace, views: int, way: str) -> float:
    """MiB on top of the inputs, of one forward and backward."""
    run(way, inputs(args, views, 2, 8))  # the libraries' own
    tensors = inputs(args, views, args.batch_size, args.queue_len)
    if torch.device(args.device).type == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(way, tensors)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew at the present
    before = peak_resident()
    run(way, tensors)
    return peak_resident() - before


def peak_resident() -> float:
    """MiB of this process at its largest (Linux)."""
    return int(re.search(r'VmHWM:\s+(\d+) kB', Path('/proc/self/status').read_text()).group(1)) / 1024


def peaks_of_all(args: argparse.Namespace) -> dict[tuple[str, str], float]:
    """MiB of each case and way, on the CPU each in a process of its own that inherits no freed memory."""
    runs = {(case, way): (args, views, way) for case, views in CASES.items() for way in WAYS}
    if torch.device(args.device).type == 'cuda':
        return {key: peak_memory(*arguments) for key, arguments in runs.items()}
    with multiprocessing.get_context('fork').Pool(1, maxtasksperchild=1) as pool:
        return {key: pool.apply(peak_memory, arguments) for key, arguments in runs.items()}


def compare(args: argparse.Namespace, case: str, views: int, peaks: dict[str, float]) -> None:
    """Print the table of one case."""
    tensors = inputs(args, views, args.batch_size, args.queue_len)
    clock = time.process_time if args.cpu_time else time.perf_counter
    seconds = {way: [] for way in WAYS}
    results = {}
    for repetition in range(args.repeat + 1):
        for way in WAYS:
            elapsed, *results[way] = run(way, tensors, clock)
            if repetition:  # the first one warms up
                seconds[way].append(elapsed)
    loss, gradients = results['official']
    for other_loss, other_gradients in results.values():
        torch.testing.assert_close(other_loss, loss, rtol=1e-5, atol=0)
        torch.testing.assert_close(other_gradients, gradients, rtol=1e-3, atol=1e-5)
    print(f'\n{case}: loss {loss:.4f} in all three ways')
    for way in WAYS:
        print(f'  {way:<10} {1e3 * min(seconds[way]):9.2f} ms  {peaks[way]:8.1f} MiB')
    fastest = {way: min(seconds[way]) for way in WAYS}
    print(
        f'  attention: {fastest["official"] / fastest["attention"]:.2f} x the speed of the official way and '
        f'1/{peaks["official"] / max(peaks["attention"], 0.1):.0f} of its memory, '
        f'{fastest["on logits"] / fastest["attention"]:.2f} x the speed on logits'
    )


def main() -> None:
    """Compare the ways in each case."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    peaks = peaks_of_all(args)  # before this process starts threads, which a fork would lack
    device = torch.cuda.get_device_name() if torch.device(args.device).type == 'cuda' else 'CPU'
    print(
        f'clsa_mm {clsa_mm.__version__}, torch {torch.__version__}, {device}, {torch.get_num_threads()} '
        f'threads, batch {args.batch_size}, queue {args.queue_len}, float32, '
        f'{kernel_for(torch.zeros(1, device=args.device)).name}; '
        f'{"CPU time" if args.cpu_time else "time passed"}, fastest of {args.repeat}'
    )
    for case, views in CASES.items():
        compare(args, case, views, {way: peaks[case, way] for way in WAYS})


if __name__ == '__main__':
    main()
