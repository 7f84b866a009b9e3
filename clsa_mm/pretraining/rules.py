"""What a recipe is made of for a folder and a machine; docs/pretrain.md has these rules as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clsa_mm.pretraining.folder import FolderFacts
from clsa_mm.pretraining.machine import MachineFacts
from clsa_mm.pretraining.networks import Network

METHODS = {
    'clsa': 'clsa_r50_8xb32_200e.py',
    'clsa-multi': 'clsa-multi_r50_8xb32_200e.py',
    'mocov2': 'mocov2_r50_8xb32_200e.py',
    'simclr': 'simclr/simclr_r50_8xb32_100e.py',
    'simsiam': 'frameworks/simsiam_r50_8xb32_100e.py',
    'simsiam-ddm': 'frameworks/simsiam-ddm_r50_8xb32_100e.py',
}
"""Method -> the config that its recipe inherits, in configs/."""

# A queue, and a key encoder with a momentum.
_WITH_QUEUE = ('clsa', 'clsa-multi', 'mocov2')
LARGEST_VIEW, CPU_VIEW, SMALL_VIEW = 224, 64, 32
# Below so many steps SGD does not get going; below so many the key encoder of the papers is too slow.
SHORT, MEDIUM = 1000, 50_000
# Epochs at chance before a warning, HealthHook's own; short epochs are few steps.
_PATIENCE = 5
USUAL_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 40_000, 200, 1000


class Decision(NamedTuple):
    """A setting that differs from the config which is inherited.

    Attributes:
        name: Full name of the setting.
        value: What it is set to.
        why: The rule.
    """

    name: str
    value: Any
    why: str


@dataclass(frozen=True)
class ViewSizes:
    """Pixels of the views.

    Attributes:
        weak: Of the key and weak views.
        strong: Of the strong view of CLSA-Single.
    """

    weak: int
    strong: int


def view_sizes(data: FolderFacts, machine: MachineFacts) -> ViewSizes:
    """The paper's 224 and 96 pixels, or less for smaller images and without a GPU."""
    limit = LARGEST_VIEW if machine.gpus else CPU_VIEW
    weak = max(SMALL_VIEW, min(limit, data.short_side) // 8 * 8)
    # The paper's 96 of 224; of few pixels a larger part, as in configs/cifar10/.
    share = 96 / 224 if weak >= 128 else 3 / 4
    return ViewSizes(weak, round(weak * share / 8) * 8)


def batch_size(data: FolderFacts, machine: MachineFacts) -> int:
    """Images of a step over all GPUs: 256, without a GPU 64, and no more than a quarter of the images."""
    wanted = 256 if machine.gpus else 64
    return min(wanted, _power_of_two(max(data.images // 4, 2)))


def steps_per_epoch(data: FolderFacts, batch: int) -> int:
    """Whole batches of an epoch."""
    return max(data.images // batch, 1)


def usual_epochs(data: FolderFacts, batch: int) -> int:
    """Epochs where neither these nor the time are given."""
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(USUAL_STEPS / steps_per_epoch(data, batch))))


def choose(
    method: str,
    data: FolderFacts,
    machine: MachineFacts,
    network: Network,
    epochs: int,
    base: Mapping[str, Any],
    batch: int,
    init: str | None = None,
) -> list[Decision]:
    """All settings that are not as in the config that the recipe inherits.

    Args:
        method: One of :data:`METHODS`.
        data: The folder.
        machine: The machine.
        network: The backbone.
        epochs: Length of the training.
        base: The config that is inherited, loaded.
        batch: Images of a step over all GPUs.
        init: Checkpoint that both encoders start from. Defaults to None.
    """
    steps = epochs * steps_per_epoch(data, batch)
    return [
        *_data_decisions(data),
        *_network_decisions(network, base),
        *_view_decisions(base, data, machine),
        *(_queue_decisions(data, batch, steps) if method in _WITH_QUEUE else ()),
        *_length_decisions(epochs, steps, base, network),
        *_optimizer_decisions(base, batch, steps, network),
        *_machine_decisions(method, machine, batch, network),
        *_hook_decisions(data, epochs, method, init),
    ]


def _data_decisions(data: FolderFacts) -> list[Decision]:
    found = [Decision('train_dataloader.dataset.data_root', str(data.folder.absolute()), 'the folder')]
    corrupt = round(sum(data.bad.values()) * data.images / data.looked_at)
    if 2 * corrupt > max(10, data.images // 100):  # which is ImageFolder's limit
        why = f'some {corrupt} files are corrupt; beyond twice as many the run stops'
        found.append(Decision('train_dataloader.dataset.max_corrupt', 2 * corrupt, why))
    return found


def _network_decisions(network: Network, base: Mapping[str, Any]) -> list[Decision]:
    config = network.config
    if network.resnet:
        norm = base['model']['backbone'].get('norm_cfg', dict(type='BN'))
        config = {**config, 'norm_cfg': dict(norm)}
    why = f'--model {network.name}'
    if config['type'] == 'ResNet_CIFAR':
        why += ', whose stem keeps the size of small images'
    if config.get('base_channels') == 16:
        why += ', a quarter of the channels, for there is no GPU'
    found = [
        Decision('model.backbone', dict(_delete_=True, **config), why),
        Decision('model.neck.in_channels', network.width, "the backbone's features"),
    ]
    if base['model']['neck'].get('hid_channels') == base['model']['neck']['in_channels']:
        found.append(Decision('model.neck.hid_channels', network.width, 'as wide as the features (MoCo v2)'))
    if network.pooled:
        found.append(Decision('model.neck.with_avg_pool', False, 'the backbone returns vectors'))
    return found


def smallest_view(base: Mapping[str, Any], sizes: ViewSizes) -> int:
    """Pixels of the smallest view that a method takes.

    Args:
        base: The config that is inherited, loaded.
        sizes: Of the views.
    """
    views = base['train_dataloader']['dataset']['views']
    taken = [_size(role, view['size'], sizes) for role, view in views.items() if view.get('num_views', 1)]
    return min(min(size) if isinstance(size, list | tuple) else size for size in taken)


def _size(role: str, old: int | Sequence[int], sizes: ViewSizes) -> int | Sequence[int]:
    """What becomes of a view's size in the config that is inherited."""
    if sizes.weak == LARGEST_VIEW:
        return old
    if isinstance(old, list | tuple):
        return [max(16, round(size * sizes.weak / LARGEST_VIEW / 8) * 8) for size in old]
    return sizes.strong if role == 'strong' and old < LARGEST_VIEW else sizes.weak


def _view_decisions(base: Mapping[str, Any], data: FolderFacts, machine: MachineFacts) -> list[Decision]:
    sizes = view_sizes(data, machine)
    small = sizes.weak + 8 > data.short_side  # rather than cut down for want of a GPU
    why = f'half of the images are not larger than {data.short_side}' if small else 'there is no GPU'
    found = []
    for role, view in base['train_dataloader']['dataset']['views'].items():
        if not view.get('num_views', 1) or sizes.weak == LARGEST_VIEW:
            continue
        name = f'train_dataloader.dataset.views.{role}'
        new, area = _size(role, view['size'], sizes), None
        if role == 'strong' and new == sizes.strong and sizes.strong * 2 > sizes.weak:
            area = (0.1, 0.6)
        found.append(Decision(f'{name}.size', new, why))
        if area:
            found.append(Decision(f'{name}.area', area, 'a larger part of few pixels, as on CIFAR-10'))
        if sizes.weak <= SMALL_VIEW:
            found.append(Decision(f'{name}.recipe.blur_prob', 0.0, 'no blur of 32 pixels, as on CIFAR-10'))
    return found


def _queue_decisions(data: FolderFacts, batch: int, steps: int) -> list[Decision]:
    few = min(batch, _power_of_two(data.images // 2))  # of a small folder one batch
    most = min(65536, max(few, _power_of_two(max(data.images // 8, 2))))
    if steps < SHORT:
        return [
            Decision('model.queue_len', min(batch, most), 'one batch: keys age fast in a short run'),
            Decision('model.momentum', 0.99, 'the run is short'),
            Decision('model.head.temperature', 0.1, 'the run is short, as in `make demo`'),
            Decision('model.head.ddm_temperature', 0.1, 'the run is short, as in `make demo`'),
        ]
    found = [
        Decision(
            'model.queue_len',
            most,
            'a power of two, an eighth of the images, at most 65,536 and at least a batch',
        )
    ]
    if steps < MEDIUM:
        found.append(Decision('model.momentum', 0.99, f'fewer than {MEDIUM:,} steps, as on CIFAR-10'))
    return found


def _length_decisions(epochs: int, steps: int, base: Mapping[str, Any], network: Network) -> list[Decision]:
    found = [Decision('train_cfg.max_epochs', epochs, f'{steps:,} steps')]
    warm_up = max(1, epochs // 10)
    if epochs > 1 and (not network.batch_norm or isinstance(base['param_scheduler'], list)):
        schedule = [
            dict(type='LinearLR', start_factor=1e-4, begin=0, end=warm_up, convert_to_iter_based=True),
            dict(type='CosineAnnealingLR', begin=warm_up, convert_to_iter_based=True),
        ]
        found.append(
            Decision('param_scheduler', schedule, 'a tenth of the run warms up, the rest is a cosine')
        )
    else:
        cosine = dict(_delete_=True, type='CosineAnnealingLR', convert_to_iter_based=True)
        found.append(Decision('param_scheduler', cosine, 'a cosine to 0, step by step'))
    return found


def _optimizer_decisions(base: Mapping[str, Any], batch: int, steps: int, network: Network) -> list[Decision]:
    name = 'optim_wrapper.optimizer'
    if not network.batch_norm:
        rate = 1.5e-4 * batch / 256
        optimizer = dict(_delete_=True, type='AdamW', lr=rate, weight_decay=0.1)
        found = [Decision(name, optimizer, "no BatchNorm: MoCo v3's for ViTs, 1.5e-4 for 256 images")]
    elif steps < SHORT:
        rate = 1e-3
        optimizer = dict(_delete_=True, type='Adam', lr=rate, weight_decay=1e-4)
        found = [Decision(name, optimizer, f'fewer than {SHORT:,} steps, in which SGD does not get going')]
    else:
        own, meant = base['optim_wrapper']['optimizer']['lr'], base['auto_scale_lr']['base_batch_size']
        short = steps < MEDIUM
        rate = own * batch / meant * (2 if short else 1)
        why = f'{own:g} for {meant} images, in proportion'
        found = [Decision(f'{name}.lr', rate, why + (', twice that in a short run' if short else ''))]
    if 'predictor_lr' in base['default_hooks']:
        found.append(Decision('default_hooks.predictor_lr.lr', rate, "the predictor's, which stays"))
    return found


def _machine_decisions(method: str, machine: MachineFacts, batch: int, network: Network) -> list[Decision]:
    processes = max(machine.gpus, 1)
    each = max(1, batch // processes)
    workers = max(
        1,
        min(16 if machine.gpus else 2, machine.cores // processes, int(machine.memory_gib // 2) // processes),
    )
    found = [
        Decision('train_dataloader.batch_size', each, f'{batch} images in a step on {processes} process(es)'),
        Decision('train_dataloader.num_workers', workers, f'{machine.cores} CPU cores'),
        Decision('auto_scale_lr.base_batch_size', batch, 'what the learning rate is for'),
    ]
    if machine.gpus:
        kind, scale = ('bfloat16', 1.0) if machine.bfloat16 else ('float16', 'dynamic')
        found += [
            Decision('optim_wrapper.type', 'AmpOptimWrapper', 'mixed precision on a GPU'),
            Decision('optim_wrapper.dtype', kind, 'what the GPU computes in'),
            Decision('optim_wrapper.loss_scale', scale, f'for {kind}'),
        ]
    if method in _WITH_QUEUE and network.batch_norm:
        found.append(Decision('model.channels_last', True, 'faster convolutions'))
    if processes > 1 and not network.resnet:
        found.append(Decision('find_unused_parameters', True, 'parts of such a network may have no gradient'))
    return found


def _hook_decisions(data: FolderFacts, epochs: int, method: str, init: str | None) -> list[Decision]:
    tenth = max(1, round(epochs / 10))
    found = [
        Decision('default_hooks.checkpoint.interval', tenth, 'ten in a run'),
        Decision('default_hooks.interrupt.minutes', 10, 'no more than ten minutes are ever lost'),
        Decision('default_hooks.watch.rank_interval', tenth, 'ten in a run'),
        Decision(
            'default_hooks.health.patience',
            max(_PATIENCE, tenth),
            'a tenth of the run, for all starts at chance',
        ),
        Decision('default_hooks.watch.images', min(128, data.images), 'for the cost'),
    ]
    if init:
        modules = ['backbone', 'key_encoder.backbone'] if method in _WITH_QUEUE else ['backbone']
        hook = dict(type='PretrainedBackboneHook', checkpoint=init, modules=modules)
        found.append(Decision('default_hooks.pretrained_backbone', hook, '--init'))
    return found


def _power_of_two(limit: int) -> int:
    """The largest that is no larger."""
    return 1 << (limit.bit_length() - 1)
