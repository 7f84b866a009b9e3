"""A training of milliseconds with the hooks that every config has."""

from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

ROOT = Path(__file__).parents[1]
IMAGES = 48


class Linear(BaseModel):
    """Regression with dropout, which draws from torch's global generator."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 1)
        torch.nn.init.constant_(self.linear.weight, 0.5)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, inputs: torch.Tensor, mode: str = 'tensor') -> dict | torch.Tensor:
        """The loss, or the prediction."""
        output = self.linear(torch.nn.functional.dropout(inputs, 0.5, self.training))
        return dict(loss=(output - 1).square().mean()) if mode == 'loss' else output


def small_runner(
    work_dir: Path,
    epochs: int,
    schedule: list[dict] | None = None,
    hooks: Sequence[Hook] = (),
    **options: object,
) -> Runner:
    """A runner of ``epochs`` with 6 iterations each, going on with what ``work_dir`` holds.

    Args:
        work_dir: Folder of the run.
        epochs: Epochs to train for.
        schedule: Of parameters.
        hooks: Besides those of configs/_base_/default_runtime.py.
        **options: Changes of the settings, dotted names with ``__`` for the dots.
    """
    cfg = Config.fromfile(ROOT / 'configs/_base_/default_runtime.py')
    cfg.merge_from_dict(
        dict(
            model=dict(),
            work_dir=str(work_dir),
            experiment_name=str(work_dir).replace('/', '_') + f'_{epochs}_{len(list(work_dir.glob("*")))}',
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            train_dataloader=dict(
                batch_size=8,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='default_collate'),
            ),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.06, weight_decay=5e-4, momentum=0.9)),
        )
    )
    cfg.merge_from_dict({name.replace('__', '.'): value for name, value in options.items()})
    inputs = torch.linspace(-1, 1, 4 * IMAGES).reshape(IMAGES, 4)
    return Runner(
        model=Linear(),
        work_dir=cfg.work_dir,
        train_dataloader=dict(cfg.train_dataloader, dataset=[dict(inputs=row) for row in inputs]),
        train_cfg=cfg.train_cfg,
        optim_wrapper=cfg.optim_wrapper,
        param_scheduler=schedule,
        auto_scale_lr=cfg.get('auto_scale_lr'),
        default_hooks={name: hook for name, hook in cfg.default_hooks.items() if hook},
        custom_hooks=list(hooks),
        randomness=cfg.randomness,
        experiment_name=cfg.experiment_name,
        resume=True,
        cfg=cfg,
    )
