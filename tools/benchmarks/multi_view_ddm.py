"""Time and memory of the DDM loss over W x S views against the official way, measured in one run.

The official way computes a product with the bank, a softmax and a logarithm for every pair of a weak and a
strong view. Here the products are one per view, and the loss is a log-sum-exp and a dot product per strong
view.

    python tools/benchmarks/multi_view_ddm.py --views 5 --batch-size 32 --queue-len 65536
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import torch
import torch.nn.functional as F
from torch import Tensor

from clsa_mm.models.losses import multi_view_ddm_loss
from clsa_mm.models.queues.key_queue import bank_similarities


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--views', type=int, default=5, help='weak views, and as many strong ones')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--queue-len', type=int, default=65536)
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--way', choices=['per view', 'per pair'], help=argparse.SUPPRESS)
    return parser.parse_args()


def per_pair(weak: list[Tensor], strong: list[Tensor], bank: Tensor) -> Tensor:
    """The arithmetic of the official code: everything anew for each pair."""
    loss = weak[0].new_zeros(())
    for w in weak:
        target = torch.softmax((w @ bank.T).detach() / 0.2, dim=1)
        for s in strong:
            predicted = torch.softmax((s @ bank.T) / 0.2, dim=1)
            loss = loss - (torch.log(predicted) * target).sum(dim=1).mean()
    return loss


def per_view(weak: list[Tensor], strong: list[Tensor], bank: Tensor) -> Tensor:
    """What the package does."""
    return multi_view_ddm_loss(
        [bank_similarities(s, bank) for s in strong],
        [bank_similarities(w, bank) for w in weak],
        0.2,
        0.2,
    )


def measure(args: argparse.Namespace) -> None:
    """Print loss, median seconds of forward and backward, and MiB on top of the inputs."""
    torch.manual_seed(0)
    unit = lambda n: F.normalize(torch.randn(n, 128), dim=1)  # noqa: E731
    bank = unit(args.batch_size + args.queue_len)
    weak = [unit(args.batch_size) for _ in range(args.views)]
    strong = [unit(args.batch_size).requires_grad_() for _ in range(args.views)]
    function = {'per view': per_view, 'per pair': per_pair}[args.way]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(args.repeat):
        start = time.perf_counter()
        loss = function(weak, strong, bank)
        loss.backward()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(loss.item(), statistics.median(seconds), peak / 1024)


def main() -> None:
    """Measure each way in a process of its own, so that the peaks do not mix."""
    args = parse_args()
    if args.way:
        measure(args)
        return
    results = {}
    for way in ('per pair', 'per view'):
        command = [sys.executable, __file__, *sys.argv[1:], '--way', way]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        results[way] = [float(value) for value in output.splitlines()[-1].split()]
        loss, seconds, peak = results[way]
        print(f'{way}: loss {loss:.4f}, {seconds:.3f} s forward and backward, {peak:.0f} MiB')
    pair, view = results['per pair'], results['per view']
    print(f'per pair / per view: {pair[1] / view[1]:.1f} x the time, {pair[2] / view[2]:.1f} x the memory')


if __name__ == '__main__':
    main()
