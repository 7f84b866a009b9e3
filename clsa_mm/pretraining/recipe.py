"""What was asked for, and the recipe that it becomes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from mmengine.config import Config

from clsa_mm.checkpoints.backbone import backbone_state_dict, fill_backbone, read_checkpoint
from clsa_mm.checkpoints.layouts import StateDict, resnet_depth
from clsa_mm.engine.config_bases import config_folder
from clsa_mm.engine.settings import load_config
from clsa_mm.given_numbers import check_numbers
from clsa_mm.pretraining.config_file import config_text
from clsa_mm.pretraining.folder import FolderFacts, look_at_folder
from clsa_mm.pretraining.machine import MachineFacts, look_at_machine
from clsa_mm.pretraining.networks import Network, build, find_network
from clsa_mm.pretraining.rules import (
    METHODS,
    SMALL_VIEW,
    Decision,
    batch_size,
    choose,
    smallest_view,
    steps_per_epoch,
    usual_epochs,
    view_sizes,
)
from clsa_mm.printable import printable

# Fewer images than this do not make features of general use, which is said; and the fewest that a GPU or a
# training is given.
_FEW, _FEWEST = 5000, 16
# Seconds between two lines of the log.
_LOG_SECONDS = 5


@dataclass(frozen=True)
class Wishes:
    """What was asked for.

    Attributes:
        data: The folder of images, absolute.
        model: Name of the backbone, '' for the rules' choice.
        method: One of ``METHODS``.
        epochs: Length; None leaves it to ``hours`` or the rules.
        hours: Time that all may take; None leaves it to ``epochs`` or the rules.
        init: Checkpoint to start from, absolute.
        seed: Of the training.

    Raises:
        ValueError: If one of them is not as above.
        FileNotFoundError: If there is no such checkpoint.
    """

    data: str
    model: str = ''
    method: str = 'clsa'
    epochs: int | None = None
    hours: float | None = None
    init: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f'method={self.method!r}: there is {", ".join(METHODS)}')
        if self.epochs is not None and self.hours is not None:
            raise ValueError('epochs and hours both say how long: give one of them')
        check_numbers('pretrain', whole=True, low=1, epochs=self.epochs)
        check_numbers('pretrain', whole=True, low=0, seed=self.seed)
        check_numbers('pretrain', hours=self.hours)
        if self.hours is not None and self.hours <= 0:
            raise ValueError(f'hours={self.hours} must be above 0')
        if self.init is not None and not Path(self.init).is_file():
            raise FileNotFoundError(f'init: there is no checkpoint {self.init}; check the path')


@dataclass(frozen=True)
class Recipe:
    """What a config is made of.

    Attributes:
        wishes: What was asked for.
        data: What the folder holds.
        machine: What the machine offers.
        network: The backbone.
        base: The config that is inherited.
        batch: Images of a step, over all GPUs.
        epochs: Length.
    """

    wishes: Wishes
    data: FolderFacts
    machine: MachineFacts
    network: Network
    base: Config
    batch: int
    epochs: int

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch."""
        return steps_per_epoch(self.data, self.batch)

    @property
    def decisions(self) -> list[Decision]:
        """The settings that differ from the base."""
        chosen = choose(
            self.wishes.method,
            self.data,
            self.machine,
            self.network,
            self.epochs,
            self.base,
            self.batch,
            self.wishes.init,
        )
        if self.wishes.seed:
            chosen.append(Decision('randomness.seed', self.wishes.seed, 'as asked for'))
        return chosen

    def text(self, step_seconds: float | None = None) -> str:
        """The config's text.

        Args:
            step_seconds: How long a step takes, where it is known; sets how often the log has a line.
        """
        decisions = self.decisions
        if step_seconds is not None:
            interval = min(50, max(1, round(_LOG_SECONDS / step_seconds)))
            decisions.append(Decision('default_hooks.logger.interval', interval, 'a line every five seconds'))
        title = f'{self.wishes.method} with {self.network.name} on a folder of images, {self.epochs} epochs.'
        return config_text(title, METHODS[self.wishes.method], decisions)


def first_recipe(wishes: Wishes, tell: Callable[[str], None]) -> Recipe:
    """Look at the images and at the machine, and choose.

    Args:
        wishes: What was asked for; where that is a time, the recipe has the usual length.
        tell: Takes the lines that are said.

    Raises:
        ValueError: If the model does not exist or fit, no image decodes, or ``init`` holds no backbone.
        FileNotFoundError: If there is no such folder, or no image in it.
    """
    start = None if wishes.init is None else backbone_state_dict(read_checkpoint(wishes.init))
    machine = look_at_machine()
    tell(f'This machine: {machine}.')
    data = look_at_folder(wishes.data, max(1, machine.cores))
    for line in _told_of(data):
        tell(line)
    if data.images < _FEWEST:
        raise ValueError(f'{data.images} images are too few to tell apart: give at least {_FEWEST}')
    batch = batch_size(data, machine)
    gpus = min(machine.gpus, max(1, batch // _FEWEST))
    machine, batch = replace(machine, gpus=gpus), batch // max(1, gpus) * max(1, gpus)
    sizes = view_sizes(data, machine)
    base = load_config(Path(config_folder(), METHODS[wishes.method]))
    network = _network(wishes, machine, sizes.weak, smallest_view(base, sizes), start)
    if start is not None:  # what does not fit is told at once
        fill_backbone(build(network.config), start, wishes.init)
    epochs = wishes.epochs or usual_epochs(data, batch)
    return Recipe(wishes, data, machine, network, base, batch, epochs)


def _network(
    wishes: Wishes, machine: MachineFacts, size: int, smallest: int, start: StateDict | None
) -> Network:
    """The backbone: as the weights are that it starts from, or by the rules."""
    if start is None:
        depth, small = None, size <= SMALL_VIEW
        narrow = small and not machine.gpus and not wishes.model
    else:
        depth, stem = resnet_depth(start), start.get('conv1.weight', torch.empty(0)).shape
        small, narrow = stem[-1:] == (3,), stem[:1] == (16,)
    usual = f'resnet{depth or (50 if machine.gpus else 18)}'
    return find_network(wishes.model or usual, size, smallest, small_stem=small, narrow=narrow)


def _told_of(data: FolderFacts) -> list[str]:
    some = '' if data.looked_at == data.images else f'; of {data.looked_at:,} looked at'
    lines = [
        f'{printable(data.folder)}: {data.images:,} images{some}: sides of {data.smallest} to '
        f'{data.largest} pixels, the median of the shorter ones {data.short_side}.'
    ]
    if data.bad:
        kinds = ', '.join(f'{number} {kind}' for kind, number in data.bad.items())
        lines.append(f'Corrupt among those: {kinds}. They are skipped; tools/check_data.py lists all.')
    if data.near_duplicates:
        lines.append(
            f'{data.near_duplicates} of those looked at nearly equal another: copies, or frames of a film. '
            'Each is a negative of its twin, which harms; keep one of them.'
        )
    if data.images < _FEW:
        lines.append(
            f'{data.images:,} images are few: expect features for images like these and not for others, and '
            'start from trained weights (--init) where there are some.'
        )
    return lines
