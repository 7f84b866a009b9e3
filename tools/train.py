"""Train any config: ``python tools/train.py CONFIG``; see ``--help`` and tools/dist_train.sh."""

import argparse
import os
from pathlib import Path

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch.distributed.elastic.multiprocessing.errors import record

from clsa_mm.checkpoints.read import register_safe_loader
from clsa_mm.checkpoints.unfinished import write_text
from clsa_mm.engine.failures import ending_together
from clsa_mm.engine.hooks.atomic_checkpoint_hook import checkpoint_folder
from clsa_mm.engine.log_backends import LOG_BACKENDS, add_log_backends
from clsa_mm.engine.machine import adapt_to_machine
from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.safety_hooks import add_safety_hooks
from clsa_mm.engine.settings import default_work_dir, load_config
from clsa_mm.engine.time_limits import limit_waiting
from clsa_mm.evaluation.dataloaders import find_hook
from clsa_mm.integrations.detection_data import check_detection_data


def parse_args() -> argparse.Namespace:
    """Read the command line (OpenMMLab's usual arguments)."""
    parser = argparse.ArgumentParser(description='Pretrain or evaluate with a config')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint, or without a path from the newest whole one of the work dir',
    )
    parser.add_argument(
        '--force', action='store_true', help='resume with other settings or data than those of the checkpoint'
    )
    parser.add_argument('--backbone', help="checkpoint to take the backbone's weights from (benchmarks)")
    parser.add_argument(
        '--amp',
        nargs='?',
        const='fp16',
        choices=['fp16', 'bf16'],
        help='mixed precision: fp16 with loss scaling (default), or bf16',
    )
    parser.add_argument('--compile', action='store_true', help='torch.compile the training step')
    parser.add_argument('--channels-last', action='store_true', help='memory format of a CLSA model')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by (images per optimizer step) / (the config's base_batch_size)",
    )
    parser.add_argument('--log-to', nargs='+', choices=LOG_BACKENDS, default=[], help='log to these too')
    parser.add_argument('--no-validate', action='store_true', help='skip validation in training')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        help='override the config: key=value, nested keys as a.b.c=value, lists as key="[a,b]"',
    )
    parser.add_argument('--trust-checkpoint', action='store_true', help='run code that is in a checkpoint')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def flag_options(args: argparse.Namespace) -> dict[str, object]:
    """The settings that the flags stand for."""
    options: dict[str, object] = dict(launcher=args.launcher)
    if args.work_dir:
        options['work_dir'] = args.work_dir
    if args.resume:
        options.update(resume=True, load_from=None if args.resume == 'auto' else args.resume)
    if args.amp:
        if not torch.cuda.is_available():
            raise SystemExit('--amp: there is no GPU here, and mixed precision needs one; leave it out')
        options['optim_wrapper.type'] = 'AmpOptimWrapper'
        options['optim_wrapper.dtype'] = dict(fp16='float16', bf16='bfloat16')[args.amp]
        options['optim_wrapper.loss_scale'] = 'dynamic' if args.amp == 'fp16' else 1.0
    if args.compile:
        options['compile'] = True
    if args.channels_last:
        options['model.channels_last'] = True
    if args.auto_scale_lr:
        options['auto_scale_lr.enable'] = True
    if args.no_validate:
        options.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    return options


def make_config(args: argparse.Namespace) -> Config:
    """The config with the command line merged into it; ``--cfg-options`` has the last word."""
    cfg = load_config(args.config, flag_options(args) | (args.cfg_options or {}))
    cfg.setdefault('work_dir', default_work_dir(args.config))
    if args.backbone:
        set_backbone(cfg, args.backbone)
    add_log_backends(cfg, args.log_to)
    if (cfg.get('auto_scale_lr') or {}).get('enable'):
        if 'base_batch_size' not in cfg.auto_scale_lr:
            raise SystemExit(
                f'--auto-scale-lr: {args.config} does not say how many images per step its learning rate is '
                'meant for; add --cfg-options auto_scale_lr.base_batch_size=256, or whatever it is'
            )
        # mmengine counts the images of an iteration; a step has those of all accumulated ones.
        cfg.auto_scale_lr.base_batch_size /= cfg.optim_wrapper.get('accumulative_counts', 1)
    add_safety_hooks(cfg)
    if args.force and (hook := find_hook(cfg, 'ResumeCheckHook')):
        hook['force'] = True
    limit_waiting(cfg)
    adapt_to_machine(cfg)
    return cfg


def set_backbone(cfg: Config, checkpoint: str) -> None:
    """Point the config's PretrainedBackboneHook at a checkpoint."""
    hook = find_hook(cfg, 'PretrainedBackboneHook')
    if hook is None:
        raise SystemExit(
            f'--backbone: {cfg.filename} has no PretrainedBackboneHook among its hooks; use a config of '
            'configs/benchmarks/, or --cfg-options load_from=CHECKPOINT to continue pretraining'
        )
    hook.checkpoint = checkpoint


def take_work_dir(cfg: Config, path: str) -> None:
    """Note in the work dir which config file it is of.

    Raises:
        SystemExit: If it, or its folder in the ``out_dir`` of its checkpoints, has checkpoints, which a
            training from the start would write over.
    """
    own, record = str(Path(path).resolve()), Path(cfg.work_dir, 'config_path.txt')
    out_dir = (find_hook(cfg, 'AtomicCheckpointHook') or {}).get('out_dir')
    for folder in {Path(cfg.work_dir), checkpoint_folder(cfg.work_dir, out_dir)}:
        if not cfg.get('resume') and any(folder.glob('*.pth')):
            earlier = record.read_text() if record.exists() else 'an earlier run'
            remedy = 'give another --work-dir'
            if out_dir:
                remedy += f' (of another last name, which is the folder in the out_dir {out_dir})'
            raise SystemExit(
                f'{folder.absolute()} has checkpoints of {earlier}, and {own} would overwrite them: add '
                f'--resume to go on from them, {remedy}, or remove that folder'
            )
    write_text(record, own)  # whole, for other ranks read it


@record  # for torchrun, which then tells what the first rank to fail has said
def main() -> None:
    """Build the runner and train."""
    args = parse_args()
    register_safe_loader(args.trust_checkpoint)
    cfg = make_config(args)
    check_detection_data(cfg)
    take_work_dir(cfg, args.config)
    runner = Runner.from_cfg(cfg)
    with ending_together(runner):
        runner.train()


if __name__ == '__main__':
    main()
