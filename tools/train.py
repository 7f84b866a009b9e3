"""Train any config: ``python tools/train.py CONFIG``; see ``--help`` and tools/dist_train.sh."""

import argparse
import os
import os.path as osp

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from clsa_mm.checkpoints.read import register_safe_loader
from clsa_mm.engine.log_backends import LOG_BACKENDS, add_log_backends
from clsa_mm.engine.machine import adapt_to_machine
from clsa_mm.engine.switched_off import remove_switched_off_hooks
from clsa_mm.integrations.detection_data import check_detection_data

# Top-level settings of a single value that the runner itself reads.
RUNNER_SETTINGS = {
    'compile', 'default_scope', 'experiment_name', 'find_unused_parameters', 'launcher', 'load_from',
    'log_level', 'resume', 'sync_bn', 'work_dir',
}  # fmt: skip


def parse_args() -> argparse.Namespace:
    """Read the command line (OpenMMLab's usual arguments)."""
    parser = argparse.ArgumentParser(description='Pretrain or evaluate with a config')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint, or without a path from the latest one in the work dir',
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
        action=DictAction,
        help='override the config: key=value, nested keys as a.b.c=value, lists as key="[a,b]"',
    )
    parser.add_argument('--trust-checkpoint', action='store_true', help='run code that is in a checkpoint')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(args: argparse.Namespace) -> Config:
    """The config with the command line merged into it; ``--cfg-options`` has the last word."""
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get(
        'work_dir', osp.join('work_dirs', osp.splitext(osp.basename(args.config))[0])
    )
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.amp:
        if not torch.cuda.is_available():
            raise SystemExit('--amp: there is no GPU here, and mixed precision needs one; leave it out')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.dtype = dict(fp16='float16', bf16='bfloat16')[args.amp]
        cfg.optim_wrapper.loss_scale = 'dynamic' if args.amp == 'fp16' else 1.0
    if args.compile:
        cfg.compile = True
    if args.channels_last:
        cfg.model.channels_last = True
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.backbone:
        set_backbone(cfg, args.backbone)
    add_log_backends(cfg, args.log_to)
    if args.cfg_options:
        refuse_variables(cfg, args.cfg_options)
        cfg.merge_from_dict(args.cfg_options)
    if cfg.get('auto_scale_lr', {}).get('enable', False):
        # mmengine counts the images of an iteration; a step has those of all accumulated ones.
        cfg.auto_scale_lr.base_batch_size /= cfg.optim_wrapper.get('accumulative_counts', 1)
    remove_switched_off_hooks(cfg)
    adapt_to_machine(cfg)
    return cfg


def refuse_variables(cfg: Config, options: dict[str, object]) -> None:
    """Stop at options that would change nothing: variables that the config has already used."""
    for name in options:
        if name not in RUNNER_SETTINGS and isinstance(cfg.get(name), (int, float, str)):
            raise SystemExit(
                f'--cfg-options {name}=...: `{name}` is a variable of the config, read when the file was; '
                'changing it now would change nothing. Give the setting its full name, such as '
                'train_cfg.max_epochs, train_dataloader.dataset.data_root, model.queue_len, '
                'optim_wrapper.optimizer.lr, or change it in a config of your own.'
            )


def set_backbone(cfg: Config, checkpoint: str) -> None:
    """Point the config's PretrainedBackboneHook at a checkpoint."""
    hooks = [hook for hook in cfg.get('custom_hooks', []) if hook.type == 'PretrainedBackboneHook']
    if not hooks:
        raise SystemExit(
            f'--backbone: {cfg.filename} has no PretrainedBackboneHook in custom_hooks; use a config of '
            'configs/benchmarks/, or --cfg-options load_from=CHECKPOINT to continue pretraining'
        )
    hooks[0].checkpoint = checkpoint


def main() -> None:
    """Build the runner and train."""
    args = parse_args()
    register_safe_loader(args.trust_checkpoint)
    cfg = load_config(args)
    check_detection_data(cfg)
    Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    main()
