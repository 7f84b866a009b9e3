"""Every detection config trains and tests for some iterations, with ResNet-18 and small pictures."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from shrunken_configs import shrink

from clsa_mm.checkpoints.backbone import CheckpointError
from clsa_mm.datasets.embedded import COCO_NAMES, VOC_NAMES, generate_coco, generate_voc
from clsa_mm.integrations.detection_data import check_detection_data

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'configs' / 'benchmarks' / 'detection'
NAMES = sorted(path.stem for path in FOLDER.glob('*.py'))
VOC = 'faster-rcnn_r50-c4_8xb2-24k_voc0712'
STEM_TO_STAGE_3, STAGE_4 = 90, 30  # tensors of a ResNet-18


@pytest.fixture(scope='module')
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('pictures')
    generate_voc(root, num_train=4, num_val=2, num_test=3, image_size=96)
    generate_coco(root, num_train=6, num_val=3, image_size=96)
    return root


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLSA checkpoint with a ResNet-18."""
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(ROOT / 'configs/clsa_r50_8xb32_200e.py')
    cfg.model.backbone.depth = 18
    cfg.model.neck.in_channels = 512
    cfg.model.queue_len = 8
    path = tmp_path_factory.mktemp('pretrained') / 'clsa.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), path)
    return path


def point_at(cfg: Config, name: str, pictures: Path) -> None:
    """Give the generated pictures to a config's data sets; those of one's own name other classes."""
    train, val, test = (cfg[f'{split}_dataloader'].dataset for split in ('train', 'val', 'test'))
    coco = name.endswith('coco')
    for dataset in (*train.get('datasets', [train]), val, test):
        dataset.data_root = str(pictures / ('coco' if coco else 'VOCdevkit'))
    if not name.endswith(('x_coco', 'voc0712')):
        classes = COCO_NAMES if coco else VOC_NAMES
        cfg.model.roi_head.bbox_head.num_classes = len(classes)
        for dataset, split in ((train, 'train'), (val, 'val'), (test, 'val')):
            dataset.metainfo = dict(classes=tuple(classes))
            if coco:
                dataset.ann_file = f'annotations/instances_{split}2017.json'
                dataset.data_prefix.img = f'{split}2017/'
            else:
                dataset.data_root += '/VOC2007'
    if coco:
        for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
            evaluator.ann_file = str(pictures / 'coco/annotations/instances_val2017.json')


def small(name: str, pictures: Path, work_dir: Path, checkpoint: Path | None) -> Config:
    cfg = shrink(Config.fromfile(FOLDER / f'{name}.py'), pixels=48, batch_size=2)
    point_at(cfg, name, pictures)
    cfg.model.test_cfg.rcnn.score_thr = 0.0  # an unlearned detector has to find something too
    cfg.default_hooks.pretrained_backbone.checkpoint = str(checkpoint) if checkpoint else None
    cfg.work_dir = str(work_dir)
    cfg.launcher = 'none'
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    cfg.experiment_name = f'{work_dir.parent.name}_{work_dir.name}'
    return cfg


def log_of(work_dir: Path) -> str:
    return '\n'.join(path.read_text() for path in work_dir.rglob('*.log'))


def expected_scores(name: str) -> set[str]:
    if name.endswith('coco'):
        kinds = ('bbox', 'segm') if name.startswith('mask') else ('bbox',)
        return {f'coco/{kind}_{score}' for kind in kinds for score in ('mAP', 'mAP_50', 'mAP_75')}
    if name.endswith('own_voc'):
        return {f'pascal_voc/{score}' for score in ('mAP', 'AP50', 'AP75')}
    return {f'{prefix}/{s}' for prefix in ('voc_11points', 'voc_area') for s in ('mAP', 'AP50', 'AP75')}


@pytest.mark.parametrize('name', NAMES)
def test_trains_and_tests(name: str, pictures: Path, pretrained: Path, tmp_path: Path) -> None:
    cfg = small(name, pictures, tmp_path / 'train', pretrained)
    check_detection_data(cfg, ['train', 'val', 'test'])
    runner = Runner.from_cfg(cfg)
    runner.train()
    log = log_of(tmp_path / 'train')
    if '-c4_' in name:
        assert f'Backbone: loaded {STEM_TO_STAGE_3}/{STEM_TO_STAGE_3} keys from' in log
        assert f'Backbone, roi_head.shared_head: loaded {STAGE_4}/{STAGE_4} keys from' in log
        assert 'new, in no checkpoint: norm.weight, norm.bias, norm.running_mean, norm.running_var' in log
    else:
        whole = STEM_TO_STAGE_3 + STAGE_4
        assert f'Backbone: loaded {whole}/{whole} keys from' in log
    assert 'missing' not in ''.join(re.findall(r' - Backbone.*', log)) and 'WARNING - Backbone' not in log
    assert 'nan' not in re.findall(r' loss: (\S+)', log)

    cfg = small(name, pictures, tmp_path / 'test', None)
    (saved,) = (tmp_path / 'train').glob('*.pth')
    cfg.load_from = str(saved)
    scores = Runner.from_cfg(cfg).test()
    assert expected_scores(name) <= scores.keys()
    assert all(-1 <= score <= 1 for score in scores.values())


@pytest.mark.slow  # three trainings of a detector
def test_weights_of_the_stages_arrive(pictures: Path, pretrained: Path, tmp_path: Path) -> None:
    """Of each kind of checkpoint, in backbone and shared head."""
    source = torch.load(pretrained)['state_dict']
    backbone = {key[9:]: value for key, value in source.items() if key.startswith('backbone.')}
    torch.save(backbone, tmp_path / 'exported.pth')
    prefixed = {f'module.encoder_{part}.{key}': value for key, value in backbone.items() for part in 'kq'}
    prefixed |= {key: torch.zeros_like(value) for key, value in prefixed.items() if 'encoder_k' in key}
    official = dict(epoch=200, arch='resnet18', state_dict=prefixed)
    torch.save(official, tmp_path / 'official.pth.tar')
    for path in (pretrained, tmp_path / 'exported.pth', tmp_path / 'official.pth.tar'):
        cfg = small(VOC, pictures, tmp_path / path.stem, path)
        cfg.optim_wrapper.optimizer.lr = 0.0
        cfg.train_cfg.update(max_iters=1, val_interval=5)
        runner = Runner.from_cfg(cfg)
        runner.train()
        state = {**runner.model.backbone.state_dict(), **runner.model.roi_head.shared_head.state_dict()}
        learned = [key for key in backbone if key.endswith('weight')]
        assert all(torch.equal(state[key], backbone[key]) for key in learned)


@pytest.mark.parametrize('part', ['backbone', 'shared_head'])
def test_no_match_in_either_part_is_an_error(
    part: str, pictures: Path, pretrained: Path, tmp_path: Path
) -> None:
    source = torch.load(pretrained)['state_dict']
    last = 'backbone.layer4.'
    kept = {key: value for key, value in source.items() if key.startswith(last) != (part == 'shared_head')}
    torch.save(dict(state_dict=kept), tmp_path / 'partial.pth')
    module = 'ResNet' if part == 'backbone' else 'Res5ExtraNorm'
    runner = Runner.from_cfg(small(VOC, pictures, tmp_path / 'run', tmp_path / 'partial.pth'))
    with pytest.raises(CheckpointError, match=f'fits the {module}'):
        runner.train()


@pytest.mark.slow  # two processes that import everything
def test_two_processes_from_the_command_line(pictures: Path, pretrained: Path, tmp_path: Path) -> None:
    """tools/dist_train_det.sh CONFIG CHECKPOINT GPUS, on the CPU."""
    small(VOC, pictures, tmp_path, None).dump(tmp_path / 'config.py')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    command = [
        'tools/dist_train_det.sh',
        tmp_path / 'config.py',
        pretrained,
        '2',
        '--work-dir',
        tmp_path / 'run',
    ]
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PORT': port, 'PYTHON': sys.executable},
        capture_output=True,
        text=True,
        timeout=600,
    )
    log = done.stdout + done.stderr
    assert done.returncode == 0, log[-3000:]
    assert 'No GPU: SyncBN becomes BN' in log
    assert f'Backbone: loaded {STEM_TO_STAGE_3}/{STEM_TO_STAGE_3} keys from' in log
    assert f'Backbone, roi_head.shared_head: loaded {STAGE_4}/{STAGE_4} keys from' in log
    assert '4 images per optimizer step = 2 per process x 2 process(es)' in log
    assert (tmp_path / 'run' / 'iter_2.pth').is_file()


@pytest.mark.parametrize('arguments', [[], ['CONFIG'], ['CONFIG', 'CHECKPOINT']])
def test_script_says_what_it_takes(arguments: list[str]) -> None:
    done = subprocess.run(
        [str(ROOT / 'tools/dist_train_det.sh'), *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode and 'usage: tools/dist_train_det.sh CONFIG CHECKPOINT GPUS' in done.stderr
