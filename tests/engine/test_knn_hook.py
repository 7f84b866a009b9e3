import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from child_process import run_in_child
from labelled_images import TinyModel, knn_config, loader_config, write_images
from mmengine.registry import TRANSFORMS, init_default_scope
from mmengine.runner import Runner
from torch.utils.data import get_worker_info

import clsa_mm
from clsa_mm.engine import KNNHook
from clsa_mm.engine.hooks.knn_hook import chance_accuracy
from clsa_mm.engine.settings import load_config
from clsa_mm.evaluation import extract_features, knn_accuracy

ROOT = Path(clsa_mm.__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init_default_scope('mmpretrain')
    write_images(tmp_path / 'train', per_class=7)
    write_images(tmp_path / 'test', per_class=3, seed=1)
    return tmp_path


def hook_config(folder: Path, **settings) -> dict:
    return dict(type='KNNHook', **knn_config(folder, **settings))


def broken(path: Path) -> Path:
    """A file that no image can be read from."""
    path.write_bytes(path.read_bytes()[:60] if path.exists() else b'broken')
    return path


def train(folder: Path, name: str, hooks: list[dict], max_epochs: int = 2) -> Runner:
    """A short real training, shuffled and augmented."""
    loader = loader_config(folder / 'train', batch_size=7)
    loader['dataset']['pipeline'].insert(1, dict(type='RandomFlip', prob=0.5))
    torch.manual_seed(0)
    runner = Runner(
        model=TinyModel(),
        work_dir=str(folder / name),
        train_dataloader=dict(
            loader,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=hooks,
        default_scope='mmpretrain',
        randomness=dict(seed=3),
        experiment_name=f'{folder.name}_{name}',
    )
    runner.train()
    return runner


def logged(folder: Path, name: str) -> list[dict]:
    """What LocalVisBackend wrote."""
    (path,) = (folder / name).rglob('scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if 'knn/top1' in line]


def test_scores_are_logged_everywhere(folder: Path) -> None:
    runner = train(folder, 'run', [hook_config(folder, interval=1, before_train=True)])
    entries = logged(folder, 'run')
    assert [entry['step'] for entry in entries] == [0, 3, 6]
    init_default_scope('mmpretrain')
    hook = KNNHook(**knn_config(folder))
    hook._prepare()
    bank, test = (extract_features(runner.model, hook._loaders[n]) for n in ('train', 'test'))
    expected = knn_accuracy(*bank, *test, k=5)
    assert entries[-1]['knn/top1'] == expected['top1']
    assert runner.message_hub.get_scalar('knn/top5').current() == expected['top5']
    (log,) = (folder / 'run').rglob('*.log')
    assert f'top1: {expected["top1"]:.2f}' in log.read_text()


def test_chance_brings_a_warning(folder: Path, monkeypatch) -> None:
    """Features that are all the same tell nothing; those of colours do."""
    train(folder, 'good', [hook_config(folder, interval=1)])
    assert 'kNN is at chance' not in next((folder / 'good').rglob('*.log')).read_text()

    def collapsed(*arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
        features, labels = extract_features(*arguments)
        return torch.ones_like(features), labels

    monkeypatch.setattr('clsa_mm.engine.hooks.knn_hook.extract_features', collapsed)
    train(folder, 'collapsed', [hook_config(folder, interval=1, before_train=True)])
    log = next((folder / 'collapsed').rglob('*.log')).read_text()
    assert 'kNN is at chance after 3 iterations' in log and 'after 0 iterations: always' not in log


def test_what_a_guess_seldom_exceeds() -> None:
    """A coin of 1/2 thrown 100 times: 50 % with a standard deviation of 5 %."""
    assert chance_accuracy(torch.arange(100) % 2) == pytest.approx(60)
    assert chance_accuracy(torch.tensor([0, 1, 1, 1])) == pytest.approx(75 + 200 * (3 / 64) ** 0.5)


@pytest.mark.parametrize(
    ('settings', 'steps'),
    [
        (dict(interval=2), [6, 9]),  # 3 iterations an epoch; the last epoch is always measured
        (dict(interval=10), [9]),
        (dict(interval=4, by_epoch=False), [4, 8, 9]),
    ],
)
def test_interval(folder: Path, settings: dict, steps: list[int]) -> None:
    train(folder, 'run', [hook_config(folder, **settings)], max_epochs=3)
    assert [entry['step'] for entry in logged(folder, 'run')] == steps


def test_measuring_does_not_change_the_training(folder: Path) -> None:
    plain = train(folder, 'plain', []).model.state_dict()
    hook = hook_config(folder, interval=1, before_train=True, max_bank=10)
    measured = train(folder, 'measured', [hook]).model.state_dict()
    assert all(torch.equal(measured[key], value) for key, value in plain.items())


PLAIN = dict(jitter_prob=0, grey_prob=0, blur_prob=0, flip_prob=0)
WHOLE = dict(size=16, area=(1.0, 1.0), ratio=(1.0, 1.0), recipe=dict(type='mocov2', **PLAIN))


def test_augmented_images(folder: Path) -> None:
    """Views that are the whole image score as the image; those that lose every colour cannot tell classes."""
    views = dict(key=WHOLE, weak=WHOLE, strong=dict(WHOLE, recipe=dict(WHOLE['recipe'], grey_prob=1)))
    hook = hook_config(folder, interval=1, augmented=['weak', 'strong'], views=views)
    runner = train(folder, 'run', [hook])
    for entry in logged(folder, 'run'):
        assert entry['knn/weak_top1'] == entry['knn/top1'] > entry['knn/strong_top1']
        assert entry['knn/weak_top5'] == entry['knn/top5']
    init_default_scope('mmpretrain')
    for root in ('train', 'test'):  # the same images, greyed beforehand
        write_images(folder / 'grey' / root, per_class=7 if root == 'train' else 3, seed=root == 'test')
        for path in (folder / 'grey' / root).rglob('*.png'):
            cv2.imwrite(str(path), cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2GRAY))
    grey = KNNHook(**knn_config(folder / 'grey')).score(runner.model)
    assert logged(folder, 'run')[-1]['knn/strong_top1'] == grey['top1']
    (log,) = (folder / 'run').rglob('*.log')
    assert f'weak_top1: {entry["knn/weak_top1"]:.2f}' in log.read_text()


def test_views_of_an_image_are_always_the_same(folder: Path) -> None:
    """Whatever was drawn before, in the bank's subset too; and another seed gives others."""
    crop = dict(size=16, area=(0.1, 0.9))
    pixels = []
    for seed, limit in ((0, None), (0, 8), (1, None)):
        settings = knn_config(folder, augmented=['weak'], views=dict(key=crop, weak=crop), seed=seed)
        hook = KNNHook(**settings, max_bank=limit)
        hook._prepare()
        torch.rand(1), np.random.rand()
        dataset = hook._loaders['weak_train'].dataset
        samples = [dataset[i] for i in range(len(dataset))]
        pixels.append({sample['data_samples'].img_path: sample['inputs'] for sample in samples})
    everything, some, others = pixels
    assert len(everything) == 21 and len(some) == 8
    assert all(torch.equal(everything[path], view) for path, view in some.items())
    assert sum(torch.equal(everything[path], view) for path, view in others.items()) < 3


def test_augmented_images_have_the_views_of_the_training_set(tmp_path: Path) -> None:
    (tmp_path / 'mine.py').write_text(
        f"_base_ = '{ROOT}/configs/cifar10/clsa_r18_1xb256_200e_cifar10.py'\n"
        "default_hooks = dict(knn=dict(augmented=['strong']))\n"
    )
    options = {'train_dataloader.dataset.views.strong.size': 20}
    cfg = load_config(tmp_path / 'mine.py', options)
    assert cfg.default_hooks.knn.views == cfg.train_dataloader.dataset.views
    assert cfg.default_hooks.knn.views.strong.size == 20


def test_augmented_images_need_views() -> None:
    with pytest.raises(ValueError, match=r"augmented=\['weak'\] needs the settings.* as views=dict"):
        KNNHook({}, {}, {}, augmented=['weak'])
    views = dict(key=WHOLE, weak=WHOLE)
    data = dict(pipeline=[0, 1])
    with pytest.raises(ValueError, match='views.strong has no view: set views.strong.num_views'):
        KNNHook(data, {}, {}, augmented=['strong'], views=views)
    with pytest.raises(ValueError, match="role: unknown name 'week'; did you mean 'weak'"):
        KNNHook(data, {}, {}, augmented=['week'], views=views)


def test_max_bank_is_a_fixed_choice(folder: Path) -> None:
    def bank(**settings) -> list[str]:
        hook = KNNHook(**knn_config(folder, **settings))
        hook._prepare()
        dataset = hook._loaders['train'].dataset
        return [dataset[i]['data_samples'].img_path for i in range(len(dataset))]

    everything = bank()
    first, second, other = bank(max_bank=8), bank(max_bank=8), bank(max_bank=8, seed=1)
    assert len(everything) == 21 and len(set(first)) == 8
    assert first == second != other
    assert set(first) <= set(everything) and first != everything[:8]
    assert bank(max_bank=100) == everything


def test_two_ranks_see_each_image_once(folder: Path) -> None:
    """21 images and one that is broken, and 9: both shards are padded by the sampler.

    The ranks' BatchNorm statistics differ; rank 0's count, which are those of the model here.
    """
    broken(folder / 'train' / 'green' / '0.png')
    paths = os.pathsep.join([str(ROOT), str(ROOT / 'tests')])
    script = Path(__file__).parent / 'knn_rank.py'
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    ranks = [
        subprocess.Popen(
            [sys.executable, script, str(rank), '2', port, folder, folder / f'{rank}.pth'],
            env=dict(os.environ, PYTHONPATH=paths, OMP_NUM_THREADS='1', GLOO_SOCKET_IFNAME='lo'),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    torch.manual_seed(0)
    model = TinyModel()
    hook = KNNHook(**knn_config(folder, batch_size=3))
    scores = hook.score(model)
    features, labels = extract_features(model, hook._loaders['test'])
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for rank, process in enumerate(ranks):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        result = torch.load(folder / f'{rank}.pth')
        assert result['scores'] == scores
        assert torch.equal(result['labels'], labels)
        torch.testing.assert_close(result['features'], features)


def test_unlabelled_data_fails_before_the_first_iteration(folder: Path) -> None:
    hook = hook_config(folder)
    hook['test']['with_label'] = False
    with pytest.raises(ValueError, match='labelled one, e.g. .*LabelledFolder.*default_hooks.knn=None'):
        train(folder, 'run', [hook])


def test_too_small_a_bank_fails_before_the_first_iteration(folder: Path) -> None:
    with pytest.raises(ValueError, match='k=5 neighbours.*only 4 images.*raise max_bank'):
        train(folder, 'run', [hook_config(folder, max_bank=4)])


@pytest.mark.parametrize('name', ['interval', 'k', 'max_bank'])
def test_settings_out_of_range(name: str) -> None:
    with pytest.raises(ValueError, match=f'{name} must be at least 1, got 0'):
        KNNHook({}, {}, {}, **{name: 0})


def test_a_corrupt_image_is_left_out(folder: Path) -> None:
    """The scores are those without the files; the first image, which is looked at first, is one of them."""
    bank = dict(data_prefix=str(write_images(folder / 'bank', per_class=7)))
    files = [broken(folder / name) for name in ('bank/blue/0.png', 'bank/red/6.png', 'test/green/1.png')]
    runner = train(folder, 'run', [dict(hook_config(folder, interval=1), train=bank)], max_epochs=1)
    (log,) = (folder / 'run').rglob('*.log')
    text = log.read_text()
    assert '2 of 21 images of the kNN bank cannot be read and are left out' in text
    assert all(f'damaged: {path}: ' in text for path in files)
    assert 'bank of 19 images, 8 tested' in text
    for path in files:
        path.unlink()
    init_default_scope('mmpretrain')
    expected = KNNHook(**knn_config(folder, train=bank)).score(runner.model)
    assert logged(folder, 'run')[-1]['knn/top1'] == expected['top1']


def test_training_goes_on_where_too_few_images_are_left(folder: Path) -> None:
    bank = write_images(folder / 'bank', per_class=2)
    for path in sorted(bank.rglob('*.png'))[2:]:
        broken(path)
    hook = dict(hook_config(folder, interval=1), train=dict(data_prefix=str(bank)))
    train(folder, 'run', [hook], max_epochs=2)
    (log,) = (folder / 'run').rglob('*.log')
    message = 'kNN could not be measured after 3 iterations: k=5 neighbours of a bank of 2 images'
    assert message in log.read_text()
    assert (folder / 'run' / 'epoch_2.pth').exists()


def test_the_checkpoint_is_written_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KNNHook, 'score', lambda *_: pytest.fail('in the measurement'))
    with pytest.raises(pytest.fail.Exception, match='in the measurement'):
        train(folder, 'run', [hook_config(folder, interval=1)])
    assert (folder / 'run' / 'epoch_1.pth').exists()


@TRANSFORMS.register_module()
class SignalToAll:
    """A data worker's first image brings a signal to all processes of the run."""

    def __init__(self, told: str) -> None:
        self.told = Path(told)

    def __call__(self, results: dict) -> dict:
        if get_worker_info() is not None and not self.told.exists():
            self.told.touch()
            os.killpg(0, signal.SIGTERM)
            time.sleep(0.2)
        return results


def test_its_workers_outlive_a_signal_to_all(folder: Path) -> None:
    """As Slurm's preemption sends: the run saves and says by its status that it is to go on."""
    knn = hook_config(folder, interval=1, num_workers=1)
    knn['dataset']['pipeline'].insert(1, dict(type='SignalToAll', told=str(folder / 'told')))

    def run() -> None:
        os.setpgid(0, 0)
        train(folder, 'run', [dict(type='InterruptHook'), knn])

    done = run_in_child(run)
    assert (folder / 'told').exists() and len(logged(folder, 'run')) == 1
    assert done.returncode == 75, done.stderr
    assert (folder / 'run/latest_iter_4.pth').exists()
