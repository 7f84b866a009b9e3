"""Time of everything that is no encoder and no update, for methods with a queue, beside MoCo v2's in one run.

Losses and statistics, forward and backward, of each config's model and head, at its queue length and numbers
of views; unit vectors stand in place of the encoders' outputs. The configs take turns, so that other load
hits all alike, and the fastest of each counts. On a CPU it is CPU time.

    python tools/benchmarks/bench_heads.py
    python tools/benchmarks/bench_heads.py configs/moco/mochi_r50_8xb32_200e.py --batch-size 64
"""

import argparse
import time
from functools import partial
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from step_cost import CONFIGS, synchronize
from torch import Tensor, nn

BASELINE = CONFIGS / 'mocov2_r50_8xb32_200e.py'
OTHERS = [  # one of each kind
    'clsa_r50_8xb32_200e.py',
    'clsa-multi_r50_8xb32_200e.py',
    'clsa-multi-official_r50_8xb32_200e.py',
    'ablations/clsa-own-bank_r50_8xb32_200e.py',
    'ablations/clsa-symmetric_r50_8xb32_200e.py',
    'ablations/clsa-contrastive_r50_8xb32_200e.py',
    'ablations/clsa-teacher-gradient_r50_8xb32_200e.py',
    'relatives/ressl_r50_8xb32_200e.py',
    'feature_transformation/mocov2-ft_r50_8xb32_200e.py',
    'feature_transformation/clsa-ft_r50_8xb32_200e.py',
    'moco/mochi_r50_8xb32_200e.py',
    'moco/unmix_r50_8xb32_200e.py',
    'supcon/supcon-queue_r50_8xb32_200e.py',
]
SIDE = 16  # images of 3 x 16 x 16 numbers, of which the first are the embedding
Data = tuple[dict[str, list[Tensor]], list]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='*', default=[str(CONFIGS / name) for name in OTHERS])
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--queue-len', type=int, default=65536)
    parser.add_argument('--repeat', type=int, default=10)
    parser.add_argument('--threads', type=int, default=1)
    return parser.parse_args()


def build(path: str | Path, args: argparse.Namespace) -> tuple[nn.Module, Data]:
    """The config's model without encoders, and a batch for it."""
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    cfg.model.queue_len = args.queue_len
    cfg.model.backbone.update(depth=18)
    cfg.model.neck.update(in_channels=512, hid_channels=128)
    model = MODELS.build(cfg.model).to(get_device()).train()
    channels = model.queue.keys.shape[1]
    model.encode_query = partial(embed, channels=channels)
    model.encode_keys = lambda images: (embed(images, channels).detach(), slice(0, len(images)))
    for module in model.modules():  # what begins at a later epoch
        if hasattr(module, 'start_epoch'):
            module.start_epoch = 0
    shape = args.batch_size, 3, SIDE, SIDE
    images = {
        role: [
            torch.randn(shape, device=get_device(), requires_grad=role != 'key')
            for _ in range(views.num_views)
        ]
        for role, views in cfg.train_dataloader.dataset.views.items()
    }
    samples = [DataSample().set_gt_label(int(label)) for label in torch.randint(1000, (args.batch_size,))]
    return model, (images, samples)


def embed(images: Tensor, channels: int) -> Tensor:
    """Unit vectors (N, C) in place of an encoder's."""
    return F.normalize(images.flatten(1)[:, :channels], dim=1)


def seconds(model: nn.Module, data: Data) -> float:
    """Of one forward and backward."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    synchronize()
    start = clock()
    losses = model.loss(*data)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    synchronize()
    elapsed = clock() - start
    model.enqueue()
    return elapsed


def main() -> None:
    """Print a table in Markdown."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    runs = {Path(path).stem: build(path, args) for path in [BASELINE, *args.configs]}
    fastest = dict.fromkeys(runs, float('inf'))
    for repetition in range(args.repeat + 1):
        for name, run in runs.items():
            elapsed = seconds(*run)
            if repetition:  # the first one warms up
                fastest[name] = min(fastest[name], elapsed)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU time'
    print(
        f'clsa_mm {clsa_mm.__version__}, torch {torch.__version__}, {device}, {args.threads} threads, batch '
        f'{args.batch_size}, queue {args.queue_len}, float32, fastest of {args.repeat}\n'
    )
    print('| config | queries of an image | ms | of MoCo v2 |\n|---|---|---|---|')
    for name, (_, (images, _)) in runs.items():
        queries = sum(len(views) for role, views in images.items() if role != 'key')
        ratio = fastest[name] / fastest[BASELINE.stem]
        print(f'| {name} | {queries} | {1e3 * fastest[name]:.1f} | {ratio:.2f} |')


if __name__ == '__main__':
    main()
