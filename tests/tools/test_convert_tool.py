"""The command lines of tools/model_converters."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from clsa_mm.checkpoints.backbone import load_backbone

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / 'tools/model_converters'


@pytest.fixture
def run(monkeypatch, capsys):
    def call(tool, *arguments):
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        runpy.run_path(str(TOOLS / tool), run_name='__main__')
        return capsys.readouterr().out

    return call


@pytest.fixture
def official(tmp_path):
    """A .pth.tar of the authors' layout."""
    encoder = torchvision.models.resnet18(num_classes=16)
    encoder.fc = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.ReLU(), encoder.fc)
    state = {f'module.encoder_{role}.{k}': v for role in 'qk' for k, v in encoder.state_dict().items()}
    state |= {'module.queue': torch.randn(16, 24), 'module.queue_ptr': torch.tensor([8])}
    path = tmp_path / 'official.pth.tar'
    torch.save(dict(epoch=200, arch='resnet18', state_dict=state, optimizer=dict(state={})), path)
    return path


def test_convert_says_what_it_does(run, official, tmp_path):
    text = run('convert.py', official, tmp_path / 'clsa.pth', '--to', 'clsa')
    assert 'official -> clsa: 250 tensors, backbone 120, neck 4, key_encoder 124, queue 2\n' in text
    assert 'left out, as the format has no place for it: optimizer\n' in text
    assert f'written: {tmp_path / "clsa.pth"}' in text
    text = run('convert.py', tmp_path / 'clsa.pth', tmp_path / 'timm.pth', '--to', 'timm', '--from', 'clsa')
    assert 'no place for it: neck 4, key_encoder 124, queue 2\n' in text
    images = torch.rand(1, 3, 32, 32)
    model = timm.create_model('resnet18', checkpoint_path=tmp_path / 'timm.pth', num_classes=0).eval()
    expected = load_backbone(official)(images)[-1].mean(dim=(2, 3))
    torch.testing.assert_close(model(images), expected, rtol=0, atol=1e-5)


def test_convert_keeps_files(run, official, tmp_path):
    out = tmp_path / 'out.pkl'
    with pytest.raises(SystemExit, match=r'out\.pth: the name of a detectron2 file has to end in \.pkl'):
        run('convert.py', official, tmp_path / 'out.pth', '--to', 'detectron2')
    out.write_text('mine')
    with pytest.raises(SystemExit, match=r'out\.pkl exists; give --force'):
        run('convert.py', official, out, '--to', 'detectron2')
    assert out.read_text() == 'mine'
    assert 'INPUT.FORMAT RGB' in run('convert.py', official, out, '--to', 'detectron2', '--force')
    assert load_backbone(out).depth == 18


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--to', 'timm', '--from', 'detectron2'], 'no backbone in the layout of detectron2.*like official'),
        (['--to', 'keras'], '2'),
    ],
)
def test_convert_errors(run, official, tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        run('convert.py', official, tmp_path / 'a.pth', *arguments)
    assert not (tmp_path / 'a.pth').exists()
    with pytest.raises(SystemExit, match='no checkpoint file .*none.pth'):
        run('convert.py', tmp_path / 'none.pth', tmp_path / 'a.pth', '--to', 'mm')


@pytest.mark.parametrize('force', [(), ('--force',)])
def test_convert_to_and_from_folders(run, official, tmp_path, force):
    folder = tmp_path / 'folder'
    folder.mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit, match='folder is a folder; give the name of a file in it'):
        run('convert.py', official, folder, '--to', 'mm', *force)
    with pytest.raises(SystemExit, match='folder is a folder, not a checkpoint file; name a file in it'):
        run('convert.py', folder, tmp_path / 'a.pth', '--to', 'mm', *force)
    with pytest.raises(
        SystemExit, match='a.pth cannot be written: .*official.pth.tar.*another path'
    ) as caught:
        run('convert.py', official, official / 'a.pth', '--to', 'mm', *force)
    assert '\n' not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before and not list(folder.iterdir())


def test_a_name_that_the_system_refuses(run, official, tmp_path):
    for tool, *options in (['convert.py', '--to', 'mm'], ['publish_model.py', '--backbone-only']):
        with pytest.raises(SystemExit, match='File name too long') as caught:
            run(tool, 'x' * 300, tmp_path / 'a.pth', *options)
        assert '\n' not in str(caught.value)


def test_publish(run, official, tmp_path, tiny_pretraining):
    cfg = tiny_pretraining()
    cfg.dump(tmp_path / 'narrow.py')
    cfg.model.backbone = dict(type='ResNet', depth=18)
    cfg.dump(tmp_path / 'config.py')
    with pytest.raises(
        SystemExit, match='narrow.py and the weights of .*official.pth.tar do not belong together'
    ):
        run('publish_model.py', official, tmp_path / 'r18', '--config', tmp_path / 'narrow.py')
    assert not list(tmp_path.glob('*r18*'))
    with pytest.raises(SystemExit, match='give the one it was trained with by --config'):
        run('publish_model.py', official, tmp_path / 'r18', '--backbone-only')
    text = run(
        'publish_model.py', official, tmp_path / 'r18', '--backbone-only', '--config', tmp_path / 'config.py'
    )
    assert 'left out: neck, key_encoder, queue, epoch, arch, optimizer\n' in text
    (path,) = tmp_path.glob('r18-????????.pth')
    assert f'written: {path}' in text
    content = torch.load(path, weights_only=True)
    assert Config.fromstring(content['meta']['cfg'], '.py').model.type == 'CLSA'
    assert len(content['state_dict']) == 120


def test_the_documentation(run, tmp_path, monkeypatch):
    """The commands of docs/checkpoints.md on a checkpoint of the real size, then the Python after them."""
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(ROOT / 'configs/clsa_r50_8xb32_200e.py')
    cfg.model.queue_len = 64
    init_default_scope('mmpretrain')
    checkpoint = tmp_path / 'work_dirs/clsa_r50_8xb32_200e/epoch_200.pth'
    checkpoint.parent.mkdir(parents=True)
    state = MODELS.build(cfg.model).state_dict()
    torch.save(dict(state_dict=state, meta=dict(cfg=cfg.pretty_text)), checkpoint)

    page = (ROOT / 'docs/checkpoints.md').read_text()
    commands = re.findall(r'^python tools/model_converters/(.*)', page, re.MULTILINE)
    assert len(commands) == 8
    for command in commands:
        run(*shlex.split(command))
    (published,) = tmp_path.glob('clsa_r50_8xb32_200e-*.pth')
    names: dict = {}
    for block in re.findall(r'^```py\n(.*?)^```', page, re.MULTILINE | re.DOTALL):
        block = block.replace('clsa_r50_8xb32_200e-1a2b3c4d.pth', published.name)
        exec(compile(block, 'docs/checkpoints.md', 'exec'), names)
        if 'torchvision' in block or 'timm' in block:
            assert torch.equal(names['model'].conv1.weight, state['backbone.conv1.weight'])
            assert names['model'].eval()(torch.rand(1, 3, 32, 32)).shape == (1, 2048)
    assert names['config'].model == cfg.model
    found = load_backbone('clsa_r50_from_official.pth')(torch.rand(1, 3, 224, 224))
    assert [x.shape for x in found] == [(1, 2048, 7, 7)]
