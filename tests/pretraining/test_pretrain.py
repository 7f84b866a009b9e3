"""From a folder to a backbone and back from an interruption, by the command that users type."""

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from mmpretrain.models import ResNet_CIFAR
from PIL import Image

from clsa_mm.checkpoints.read import CheckpointError
from clsa_mm.pretraining import pretrain
from clsa_mm.pretraining.recipe import Wishes

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'pretrain.py'


@pytest.fixture(scope='module')
def photographs(tmp_path_factory) -> Path:
    """32 pictures of 48 x 40 pixels, in two folders."""
    folder = tmp_path_factory.mktemp('photographs')
    rng = np.random.default_rng(0)
    for i in range(32):
        path = folder / f'album {i % 2}' / f'{i}.png'
        path.parent.mkdir(exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        coarse.resize((48, 40), Image.Resampling.BICUBIC).save(path)
    return folder


def run_tool(folder: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(TOOL), str(folder), '--out', str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow  # all of it; its parts have tests of their own
def test_a_folder_becomes_a_backbone_a_config_and_a_report(photographs, tmp_path):
    out = tmp_path / 'out'
    done = run_tool(photographs, out, '--epochs', '3', '--model', 'resnet18')
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ('32 images are few', '3 epochs of 4 steps', 'epoch 3/3', 'were predicted'):
        assert said in done.stdout
    model = torchvision.models.resnet18()
    weights = torch.load(out / 'backbone_torchvision.pth', weights_only=True)
    missing = model.load_state_dict(weights, strict=False)
    assert set(missing.missing_keys) == {'fc.weight', 'fc.bias'} and not missing.unexpected_keys
    checkpoint = torch.load(out / 'run/epoch_3.pth', weights_only=False)['state_dict']
    torch.testing.assert_close(weights['conv1.weight'], checkpoint['backbone.conv1.weight'], rtol=0, atol=0)
    assert '</html>' in (out / 'report.html').read_text()
    assert (out / 'config.py').read_text().count('_base_') == 1
    assert not (out / 'measuring').exists()
    again = run_tool(photographs, out, '--epochs', '3', '--model', 'resnet18')
    assert again.returncode == 0 and 'the run goes on' in again.stdout and 'epoch 1/' not in again.stdout


LONG = ('--epochs', '40', '--seed', '3')


@pytest.fixture(scope='module')
def thumbnails(photographs, tmp_path_factory) -> Path:
    """The pictures at 32 pixels, for which the rules take a small network."""
    folder = tmp_path_factory.mktemp('thumbnails')
    for path in photographs.rglob('*.png'):
        Image.open(path).resize((32, 32)).save(folder / path.name)
    return folder


@pytest.fixture(scope='module')
def uninterrupted(thumbnails, tmp_path_factory) -> dict[str, torch.Tensor]:
    out = tmp_path_factory.mktemp('uninterrupted')
    done = run_tool(thumbnails, out, *LONG)
    assert done.returncode == 0, done.stdout + done.stderr
    return torch.load(out / 'run/epoch_40.pth', weights_only=False)['state_dict']


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_and_started_again_it_ends_with_the_same_weights(thumbnails, uninterrupted, tmp_path, number):
    out = tmp_path / 'stopped'
    command = [sys.executable, str(TOOL), str(thumbnails), '--out', str(out), *LONG]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    while not list(out.glob('run/epoch_*.pth')):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    said, _ = process.communicate()
    if number != signal.SIGKILL:
        assert process.returncode == 130 and 'The same command goes on' in said
    assert not (out / 'run/epoch_40.pth').exists()
    done = run_tool(thumbnails, out, *LONG)
    assert done.returncode == 0, done.stdout + done.stderr
    ended = torch.load(out / 'run/epoch_40.pth', weights_only=False)['state_dict']
    assert ended.keys() == uninterrupted.keys()
    assert all(torch.equal(ended[name], uninterrupted[name]) for name in ended)


def test_a_dry_run_prints_a_config_and_writes_nothing(photographs, tmp_path):
    out = io.StringIO()
    pretrain(photographs, tmp_path / 'out', epochs=7, dry_run=True, tell=lambda line: print(line, file=out))
    assert "_base_ = 'clsa_mm::clsa_r50_8xb32_200e.py'" in out.getvalue()
    assert 'max_epochs=7' in out.getvalue()
    assert not (tmp_path / 'out').exists()


def test_other_arguments_for_the_same_folder_are_refused(photographs, tmp_path):
    import json
    from dataclasses import asdict

    wishes = Wishes(str(photographs), epochs=5)
    plan = dict(wishes=asdict(wishes), epochs=5, steps_per_epoch=4, batch=8, gpus=0, seconds=1.0)
    (tmp_path / 'plan.json').write_text(json.dumps(plan))
    (tmp_path / 'config.py').touch()
    with pytest.raises(ValueError, match='holds a run with epochs=5, not 9: give the same .* another folder'):
        pretrain(photographs, tmp_path, epochs=9, tell=lambda line: None)
    (tmp_path / 'plan.json').unlink()
    with pytest.raises(ValueError, match='config.py, which is of no run of this kind.*: give another folder'):
        pretrain(photographs, tmp_path, epochs=9, tell=lambda line: None)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(method='clsb'), "method='clsb': there is clsa, clsa-multi"),
        (dict(epochs=2, hours=1.0), 'epochs and hours both say how long: give one'),
        (dict(epochs=0), 'epochs=0 must be a whole number of at least 1'),
        (dict(epochs=2.5), 'epochs=2.5 must be a whole number'),
        (dict(hours=0.0), 'hours=0.0 must be above 0'),
        (dict(hours=float('nan')), 'hours=nan must be a finite number'),
        (dict(seed=-1), 'seed=-1 must be a whole number of at least 0'),
    ],
)
def test_nonsense_is_refused(photographs, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        pretrain(photographs, tmp_path / 'out', **arguments)
    assert not (tmp_path / 'out').exists()


def test_a_missing_checkpoint_is_named(photographs, tmp_path):
    with pytest.raises(FileNotFoundError, match='init: there is no checkpoint .*none.pth'):
        pretrain(photographs, tmp_path / 'out', init='none.pth')


@pytest.mark.parametrize(
    ('network', 'said'),
    [
        (ResNet_CIFAR(18, base_channels=16, stem_channels=16), ("type='ResNet_CIFAR'", 'base_channels=16')),
        (torchvision.models.resnet50(), ("type='ResNet'", 'depth=50', 'in_channels=2048')),
    ],
)
def test_the_network_is_that_of_the_checkpoint_to_start_from(photographs, tmp_path, network, said):
    torch.save(network.state_dict(), tmp_path / 'weights.pth')
    lines = []
    pretrain(photographs, tmp_path, init=tmp_path / 'weights.pth', dry_run=True, tell=lines.append)
    assert all(part in lines[0] for part in said)


def test_a_checkpoint_of_another_network_is_refused_at_once(photographs, tmp_path):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match='holds a ResNet-18 and the ResNet has depth 34'):
        pretrain(photographs, tmp_path, model='resnet34', init=tmp_path / 'weights.pth', dry_run=True)


def test_a_network_has_to_take_the_smallest_view_of_the_method(photographs, tmp_path):
    pretrain(photographs, tmp_path, model='convnext-tiny', dry_run=True, tell=lambda line: None)
    with pytest.raises(ValueError, match='convnext-tiny does not take images of 40 and 16 pixels'):
        pretrain(photographs, tmp_path, model='convnext-tiny', method='clsa-multi', dry_run=True)


def test_a_file_that_is_no_checkpoint_is_told_before_anything_else(photographs, tmp_path):
    (tmp_path / 'weights.pth').write_text('no weights')
    said = []
    with pytest.raises(CheckpointError, match='weights.pth'):
        pretrain(photographs, tmp_path / 'out', init=tmp_path / 'weights.pth', tell=said.append)
    assert not said


def test_too_few_images_are_refused(tmp_path):
    for i in range(3):
        Image.new('RGB', (40, 40), (i, 0, 0)).save(tmp_path / f'{i}.png')
    with pytest.raises(ValueError, match='3 images are too few to tell apart: give at least 16'):
        pretrain(tmp_path, tmp_path / 'out', dry_run=True, tell=lambda line: None)
