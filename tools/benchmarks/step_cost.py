"""Cost of a CLSA-Single training step over a MoCo v2 step, both measured in one run.

The two models take turns, step by step, so that other load on the machine hits both alike; the figure is the
ratio of the medians. The paper reports 70 h / 53 h = 1.32 for whole trainings; floating-point operations
alone (four 224-pixel passes' worth for MoCo v2, and a 96-pixel view's forward and backward more) give 1.14.

    python tools/benchmarks/step_cost.py --batch-size 8 --steps 10
    python tools/benchmarks/step_cost.py --batch-size 64 --steps 50 --amp   # on a GPU
"""

import argparse
import statistics
import time
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--steps', type=int, default=10, help='measured steps of each model')
    parser.add_argument('--queue-len', type=int, default=65536)
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast')
    return parser.parse_args()


class Trainer:
    """A model with its optimizer, and what the hook does after a step."""

    def __init__(self, config: str, args: argparse.Namespace) -> None:
        cfg = Config.fromfile(CONFIGS / config)
        init_default_scope(cfg.default_scope)
        torch.manual_seed(0)
        self.model: nn.Module = MODELS.build({**cfg.model, 'queue_len': args.queue_len})
        self.model.to(get_device()).train()
        optimizer = torch.optim.SGD(
            self.model.parameters(),
            **{name: value for name, value in cfg.optim_wrapper.optimizer.items() if name != 'type'},
        )
        self.optim_wrapper = OptimWrapper(optimizer)
        self.amp = args.amp
        sizes = {role: 96 if role == 'strong' else 224 for role in self.model.view_roles}
        self.views = [
            torch.randn(args.batch_size, 3, sizes[role], sizes[role], device=get_device())
            for role in self.model.view_roles
        ]

    def step(self) -> float:
        """Seconds of one iteration: losses, backward, optimizer, enqueue, key encoder."""
        synchronize()
        start = time.perf_counter()
        with torch.autocast(get_device(), torch.bfloat16, enabled=self.amp):
            losses: dict[str, Tensor] = self.model.loss(self.views)
        self.optim_wrapper.update_params(sum(losses.values()))
        self.model.enqueue()
        self.model.momentum_update()
        synchronize()
        return time.perf_counter() - start


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    """Print the two medians and their ratio."""
    args = parse_args()
    trainers = {
        'MoCo v2': Trainer('mocov2_r50_8xb32_200e.py', args),
        'CLSA-Single': Trainer('clsa_r50_8xb32_200e.py', args),
    }
    seconds = {name: [] for name in trainers}
    for step in range(args.steps + 2):
        for name, trainer in trainers.items():
            elapsed = trainer.step()
            if step >= 2:  # the first two warm up
                seconds[name].append(elapsed)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'
    print(
        f'clsa_mm {clsa_mm.__version__}, torch {torch.__version__}, {device}, '
        f'{torch.get_num_threads()} threads, ResNet-50, batch {args.batch_size}, '
        f'queue {args.queue_len}, {"bfloat16" if args.amp else "float32"}'
    )
    for name, median in medians.items():
        print(
            f'{name:<12} {median:8.3f} s per step, median of {args.steps} '
            f'(from {min(seconds[name]):.3f} to {max(seconds[name]):.3f})'
        )
    print(f'ratio        {medians["CLSA-Single"] / medians["MoCo v2"]:8.3f}')


if __name__ == '__main__':
    main()
