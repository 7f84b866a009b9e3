"""Cost of a CLSA-Single training step over a MoCo v2 step, and what of it is no encoder, measured in one run.

The two models take turns, step by step, so that other load on the machine hits both alike; the figure is the
ratio of the medians. The paper reports 70 h / 53 h = 1.32 for whole trainings; floating-point operations
alone (four 224-pixel passes' worth for MoCo v2, and a 96-pixel view's forward and backward more) give 1.14.

For the share that is no encoder, each step is taken again with the encoders left out: unit vectors in place
of the views, then losses, statistics and backward pass, enqueueing and the momentum update of the key
encoder, and the finite guard's look at all gradients. What WatchHook computes in one of its iterations is
timed by itself, and spread over its interval; so are the fingerprints by which RankDriftHook compares the
ranks of a run of several, without the exchange of these few kilobytes.

    python tools/benchmarks/step_cost.py --batch-size 8 --steps 10
    python tools/benchmarks/step_cost.py --batch-size 64 --steps 50 --amp   # on a GPU
"""

import argparse
import statistics
import time
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from clsa_mm.engine import RankDriftHook, WatchHook
from clsa_mm.engine.hooks.finite_guard_hook import all_finite
from clsa_mm.engine.hooks.gradient_norm import total_norm
from clsa_mm.engine.hooks.rank_drift_hook import fingerprint, replicated_tensors
from clsa_mm.evaluation import score_statistics

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--steps', type=int, default=10, help='measured steps of each model')
    parser.add_argument('--warm-up', type=int, default=2, help='steps before')
    parser.add_argument('--queue-len', type=int, default=65536)
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast')
    return parser.parse_args()


class Trainer:
    """A model with its optimizer, and what the hooks do in a step."""

    def __init__(self, config: str, args: argparse.Namespace) -> None:
        cfg = Config.fromfile(CONFIGS / config)
        init_default_scope(cfg.default_scope)
        torch.manual_seed(0)
        self.model: nn.Module = MODELS.build({**cfg.model, 'queue_len': args.queue_len})
        self.model.to(get_device()).train()
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            **{name: value for name, value in cfg.optim_wrapper.optimizer.items() if name != 'type'},
        )
        self.amp = args.amp
        self.images = {
            role: [torch.randn(args.batch_size, 3, size, size, device=get_device()) for size in _sizes(views)]
            for role, views in cfg.train_dataloader.dataset.views.items()
        }

    def step(self) -> float:
        """Seconds of one iteration: losses, backward, optimizer, enqueue, key encoder."""
        synchronize()
        start = time.perf_counter()
        self._backward(self.images)
        self._look_at_gradients()
        self.optimizer.step()
        self._updates()
        synchronize()
        seconds = time.perf_counter() - start
        self.optimizer.zero_grad()
        return seconds

    def step_without_encoders(self) -> float:
        """Seconds of the same iteration from the encoders' outputs on, without the optimizer."""
        queries = self._random_queries()
        for query in (*queries['weak'], *queries.get('strong', ())):
            query.requires_grad_()
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
        self.model.encode_query = lambda query: query
        self.model.encode_keys = lambda keys: (keys, slice(0, len(keys)))
        synchronize()
        start = time.perf_counter()
        self._backward(queries)
        self._look_at_gradients()
        self._updates()
        synchronize()
        seconds = time.perf_counter() - start
        del self.model.encode_query, self.model.encode_keys
        self.optimizer.zero_grad()
        return seconds

    def watch(self) -> float:
        """Seconds of what WatchHook computes in one of its iterations: scores and the gradient's norm."""
        queries = self._random_queries()
        keys = queries['key'][0]
        bank = self.model.make_bank(keys, slice(0, len(keys)))
        gradients = [torch.ones_like(p) for p in self.model.parameters() if p.requires_grad]
        synchronize()
        start = time.perf_counter()
        for query in (*queries['weak'], *queries.get('strong', ())):
            for value in score_statistics(query, bank, self.model.head.temperature).values():
                value.item()
        total_norm(gradients).item()
        return time.perf_counter() - start

    def compare(self) -> float:
        """Seconds of the fingerprints of everything that all ranks have alike."""
        synchronize()
        start = time.perf_counter()
        tensors = replicated_tensors(self.model).values()
        torch.stack([fingerprint(tensor) for tensor in tensors]).cpu()
        return time.perf_counter() - start

    def _random_queries(self) -> dict[str, list[Tensor]]:
        return {
            role: [F.normalize(torch.randn(len(view), 128, device=view.device), dim=1) for view in views]
            for role, views in self.images.items()
        }

    def _backward(self, inputs: dict[str, list[Tensor]]) -> None:
        with torch.autocast(get_device(), torch.bfloat16, enabled=self.amp):
            losses: dict[str, Tensor] = self.model.loss(inputs)
        sum(value for name, value in losses.items() if 'loss' in name).backward()

    def _look_at_gradients(self) -> None:
        all_finite([p.grad for p in self.model.parameters() if p.grad is not None])

    def _updates(self) -> None:
        self.model.enqueue()
        self.model.momentum_update()


def _sizes(views: dict) -> list[int]:
    size = views['size']
    return [size] * views['num_views'] if isinstance(size, int) else list(size)[: views['num_views']]


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    """Print the medians, their ratio and the share that is no encoder."""
    args = parse_args()
    trainers = {
        'MoCo v2': Trainer('mocov2_r50_8xb32_200e.py', args),
        'CLSA-Single': Trainer('clsa_r50_8xb32_200e.py', args),
    }
    seconds = {name: [] for name in trainers}
    others = {name: [] for name in trainers}
    watching = {name: [] for name in trainers}
    comparing = {name: [] for name in trainers}
    for step in range(args.warm_up + args.steps):
        for name, trainer in trainers.items():
            elapsed = trainer.step(), trainer.step_without_encoders()
            if step >= args.warm_up:
                seconds[name].append(elapsed[0])
                others[name].append(elapsed[1])
                watching[name].append(trainer.watch())
                comparing[name].append(trainer.compare())
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'
    print(
        f'clsa_mm {clsa_mm.__version__}, torch {torch.__version__}, {device}, '
        f'{torch.get_num_threads()} threads, ResNet-50, batch {args.batch_size}, '
        f'queue {args.queue_len}, {"bfloat16" if args.amp else "float32"}'
    )
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        share = statistics.median(others[name]) / median
        watched = statistics.median(watching[name]) / WatchHook().interval / median
        compared = statistics.median(comparing[name]) / RankDriftHook().interval / median
        print(
            f'{name:<12} {median:8.3f} s per step, median of {args.steps} '
            f'(from {min(seconds[name]):.3f} to {max(seconds[name]):.3f}), {share:.2%} of it no encoder, '
            f'watching adds {watched:.3%}, comparing ranks {compared:.3%}'
        )
    print(f'ratio        {medians["CLSA-Single"] / medians["MoCo v2"]:8.3f}')


if __name__ == '__main__':
    main()
