"""Test a checkpoint with a config that has a test set: ``python tools/test.py CONFIG CHECKPOINT``."""

import argparse
import os

import clsa_mm  # noqa: F401  # isort: skip  checks the stack before anything of it is imported

import mmengine
from mmengine.runner import Runner

from clsa_mm.checkpoints.read import register_safe_loader
from clsa_mm.engine.log_backends import LOG_BACKENDS, add_log_backends
from clsa_mm.engine.machine import adapt_to_machine
from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import default_work_dir, load_config
from clsa_mm.integrations.detection_data import check_detection_data


def parse_args() -> argparse.Namespace:
    """Read the command line (OpenMMLab's usual arguments)."""
    parser = argparse.ArgumentParser(description='Test a checkpoint')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--work-dir', help='folder of logs')
    parser.add_argument('--out', help='write the metrics to this .json, .yaml or .pkl file')
    parser.add_argument('--log-to', nargs='+', choices=LOG_BACKENDS, default=[], help='log to these too')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, help='override the config')
    parser.add_argument('--trust-checkpoint', action='store_true', help='run code that is in a checkpoint')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    """Build the runner and test."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config)
    add_log_backends(cfg, args.log_to)
    if cfg.get('test_dataloader') is None:
        raise SystemExit(
            f'{args.config} has no test set. Pretraining is evaluated with tools/knn.py or a config of '
            'configs/benchmarks/.'
        )
    cfg.load_from = args.checkpoint
    adapt_to_machine(cfg)
    register_safe_loader(args.trust_checkpoint)
    check_detection_data(cfg, ['test'])
    metrics = Runner.from_cfg(cfg).test()
    if args.out:
        mmengine.dump(metrics, args.out)


if __name__ == '__main__':
    main()
