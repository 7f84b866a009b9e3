"""Configs as they are, but for the size of images, batches and schedules: for runs on a CPU in seconds."""

import subprocess
from pathlib import Path

from mmengine.config import Config, ConfigDict
from small_networks import small_network

ROOT = Path(__file__).parents[1]


def all_configs() -> list[str]:
    """Every config that a user may name, relative to ``configs/``; files of the user's own are left out."""
    folder = ROOT / 'configs'
    paths = [str(path.relative_to(folder)) for path in folder.rglob('*.py') if '_base_' not in path.parts]
    listing = ['git', 'ls-files', '--cached', '--deduplicate', '.']
    listed = subprocess.run(listing, cwd=folder, capture_output=True, text=True).stdout.splitlines()
    return sorted(set(paths).intersection(listed) if listed else paths)


def shrink(cfg: Config, pixels: int = 64, batch_size: int = 4) -> Config:
    """Two iterations or an epoch of small images in a small network; losses, hooks and data sets stay."""
    if 'depth' in cfg.model.backbone:
        _shrink_model(cfg.model)
    else:
        cfg.merge_from_dict(small_network(cfg.model))
    for key in [key for key in cfg if key.endswith(('dataloader', 'pipeline', 'hooks', 'model'))]:
        _shrink_images(cfg[key], pixels)
    for node in _dicts(cfg._cfg_dict):
        if 'dataset' in node and 'batch_size' in node and node.get('type') != 'KNNHook':
            node.update(batch_size=batch_size, num_workers=0, persistent_workers=False)
            node.pop('prefetch_factor', None)
        if 'num_views' in node and 'size' in node:  # a role's views
            sizes = node['size']  # one, or one of each view
            node['size'] = min(sizes, pixels) if isinstance(sizes, int) else [min(s, pixels) for s in sizes]
        if node.get('type') == 'SplitBN':
            node.num_splits = 2
        if 'subfolders' in node:  # which a small data set has not
            del node['subfolders']
        if node.get('type') == 'WatchHook':
            node.update(images=4, draws=2)
        if node.get('type') == 'KNNHook':
            node.update(k=2, max_bank=None, batch_size=batch_size, num_workers=0)
        if 'rcnn' in node and 'rpn_proposal' in node:  # a detector's train_cfg
            node.rpn_proposal.update(max_per_img=20)
            node.rcnn.sampler.update(num=8)
        if 'rpn' in node and 'max_per_img' in node.get('rpn', {}):  # its test_cfg
            node.rpn.update(max_per_img=10)
            node.rcnn.update(max_per_img=5)
    if 'roi_head' in cfg.model:
        for loader in (cfg.val_dataloader, cfg.test_dataloader):
            loader.dataset.indices = 4
    if 'max_iters' in cfg.train_cfg:
        cfg.train_cfg.update(max_iters=2, val_interval=2)
        cfg.default_hooks.checkpoint.update(interval=2)
    else:
        cfg.train_cfg.max_epochs = 1
        for scheduler in _dicts(cfg.get('param_scheduler')):
            scheduler.pop('begin', None)  # after a warm-up that is longer than the run
    return cfg


def _shrink_model(model: ConfigDict) -> None:
    """ResNet-18 in place of ResNet-50, a narrow one for CIFAR, and a short queue."""
    if 'queue_len' in model:
        model.queue_len = min(model.queue_len, 64)
    head = model.get('head') or {}
    if 'start_epoch' in head:
        head.start_epoch = 0
    if 'num_hard' in head:
        head.num_hard = 16
    if model.backbone.type == 'ResNet_CIFAR':
        model.backbone.update(base_channels=8, stem_channels=8)
        _set_channels(model, 64 * (4 if model.backbone.depth >= 50 else 1))
    elif model.backbone.depth == 50:
        model.backbone.depth = 18
        if 'roi_head' in model:
            _shrink_detector(model)
        else:
            _set_channels(model, 512)


def _set_channels(model: ConfigDict, channels: int) -> None:
    """Of the neck or head that takes the backbone's features."""
    part = model.neck if 'in_channels' in (model.get('neck') or {}) else model.head
    if 'in_channels' in part:
        part.in_channels = channels


def _shrink_detector(model: ConfigDict) -> None:
    roi_head = model.roi_head
    if 'shared_head' not in roi_head:
        model.neck.in_channels = [64, 128, 256, 512]
        return
    roi_head.shared_head.depth = 18
    model.rpn_head.update(in_channels=256, feat_channels=64)
    roi_head.bbox_roi_extractor.out_channels = 256
    for name in ('bbox_head', 'mask_head'):
        if name in roi_head:
            roi_head[name].in_channels = 512


def _dicts(node: object) -> list[ConfigDict]:
    if isinstance(node, dict):
        return [node, *(found for value in node.values() for found in _dicts(value))]
    if isinstance(node, (list, tuple)):
        return [found for value in node for found in _dicts(value)]
    return []


def _shrink_images(node: object, pixels: int) -> None:
    """Crops and edges to about ``pixels``, a detector's images to twice that."""
    for step in _dicts(node):
        name = str(step.get('type', '')).split('.')[-1]
        if name in ('RandomResizedCrop', 'CenterCrop', 'RandomCrop', 'ResizeEdge'):
            for key in (
                ('size',) if 'size' in step else ('scale', 'crop_size')
            ):  # mmselfsup's scale is an area
                if isinstance(step.get(key), (int, tuple, list)):
                    edge = step[key] if isinstance(step[key], int) else max(step[key])
                    step[key] = min(edge, pixels + (8 if name == 'ResizeEdge' else 0))
        elif name == 'Resize' and 'keep_ratio' in step:
            step.scale = (3 * pixels, 2 * pixels)
        elif name == 'RandomChoiceResize':
            step.scales = [(3 * pixels, 2 * pixels)]
