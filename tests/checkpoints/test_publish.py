"""Published files: their hash, what they hold and what they do not."""

import hashlib
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS, init_default_scope

import clsa_mm
from clsa_mm.checkpoints.backbone import CheckpointError, read_checkpoint
from clsa_mm.checkpoints.publish import publish_checkpoint


@pytest.fixture
def trained(tiny_pretraining, tmp_path):
    """What mmengine's runner saves of a narrow model."""
    cfg = tiny_pretraining()
    init_default_scope('mmpretrain')
    model = MODELS.build(cfg.model)
    meta = dict(
        cfg=cfg.pretty_text, epoch=2, iter=12, seed=5, experiment_name='x', time='now',
        dataset_meta=dict(classes=('a', 'b'), palette=torch.ones(1)),
    )  # fmt: skip
    path = tmp_path / 'epoch_2.pth'
    torch.save(
        dict(
            meta=meta,
            state_dict={f'module.{k}': v for k, v in model.state_dict().items()},
            optimizer=dict(state={0: torch.ones(1000)}),
            message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1.0], [1]))),
            param_schedulers=[],
        ),
        path,
    )
    return path, cfg, model


@pytest.mark.parametrize('backbone_only', [False, True])
def test_published(trained, backbone_only, tmp_path):
    path, cfg, model = trained
    published, left_out = publish_checkpoint(path, tmp_path / 'out' / 'clsa_r18.pth', backbone_only)
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    assert published == tmp_path / 'out' / f'clsa_r18-{digest[:8]}.pth'
    assert list(published.parent.iterdir()) == [published]

    content = torch.load(published, weights_only=True)  # without any allowance
    assert content.keys() == {'meta', 'state_dict'}
    expected = (model.backbone if backbone_only else model).state_dict()
    assert content['state_dict'].keys() == expected.keys()
    assert all(torch.equal(content['state_dict'][k], v) for k, v in expected.items())
    extra = ['key_encoder', 'neck', 'queue'] if backbone_only else []
    assert sorted(left_out) == sorted([*extra, 'message_hub', 'optimizer', 'param_schedulers'])

    meta = content['meta']
    assert Config.fromstring(meta['cfg'], '.py').model == cfg.model
    assert (meta['epoch'], meta['iter'], meta['seed']) == (2, 12, 5)
    assert meta['dataset_meta'] == dict(classes=['a', 'b'])
    assert meta['clsa_mm_version'] == clsa_mm.__version__ and meta['torch_version'] == torch.__version__
    assert all(re.match(r'\d+\.\d+', meta[f'{name}_version']) for name in ('mmengine', 'mmpretrain'))

    images = torch.rand(1, 3, 32, 32)
    model.eval()
    with torch.no_grad():
        assert torch.equal(clsa_mm.load_backbone(published)(images)[-1], model.backbone(images)[-1])


def test_the_same_content_has_the_same_name(trained, tmp_path):
    published, _ = publish_checkpoint(trained[0], tmp_path / 'a')
    with pytest.raises(FileExistsError, match=f'{published.name} exists'):
        publish_checkpoint(trained[0], tmp_path / 'a')
    assert not list(tmp_path.glob('.*'))


def test_a_damaged_download(trained, tmp_path):
    published, _ = publish_checkpoint(trained[0], tmp_path / 'a')
    data = bytearray(published.read_bytes())
    data[len(data) // 2] ^= 1
    published.write_bytes(data)
    with pytest.raises(
        CheckpointError, match='damaged or was changed: its sha256 starts with .*Download it again'
    ):
        clsa_mm.load_backbone(published)


@pytest.mark.parametrize('name', ['run-20240131.pth', 'run-2024.pth', 'run-abcdefgh.pth', 'deadbeef.pth'])
def test_other_names_are_no_hashes(name, tmp_path):
    torch.save(dict(a=torch.ones(1)), tmp_path / name)
    assert read_checkpoint(tmp_path / name)


def test_a_checkpoint_without_a_config(trained, tmp_path):
    path, cfg, model = trained
    bare = tmp_path / 'bare.pth'
    torch.save(model.state_dict(), bare)
    with pytest.raises(CheckpointError, match='holds no config; give the one .* by --config'):
        publish_checkpoint(bare, tmp_path / 'a')
    cfg.dump(tmp_path / 'config.py')
    published, left_out = publish_checkpoint(bare, tmp_path / 'a', config=tmp_path / 'config.py')
    assert not left_out
    assert Config.fromstring(read_checkpoint(published)['meta']['cfg'], '.py').model == cfg.model


def test_nothing_but_a_head(trained, tmp_path):
    torch.save(dict(state_dict={'head.fc.weight': torch.ones(1)}, meta=dict(cfg='a = 1')), tmp_path / 'h.pth')
    with pytest.raises(CheckpointError, match='backbone, only head.fc.weight'):
        publish_checkpoint(tmp_path / 'h.pth', tmp_path / 'a', backbone_only=True)


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'model.backbone.base_channels': 16}, 'weights do not fit the backbone .*mismatched: '),
        ({'model.backbone.depth': 34}, 'epoch_2.pth .*depth.{1,3}34'),
        ({'model.backbone.depth': 19}, '19'),
    ],
)
def test_a_config_of_other_weights(trained, tmp_path, changes, reason):
    path, cfg, _ = trained
    cfg.merge_from_dict(changes)
    config = tmp_path / 'config.py'
    cfg.dump(config)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(
        CheckpointError,
        match=f'config.py and the weights of .*epoch_2.pth do not belong together: .*{reason}',
    ):
        publish_checkpoint(path, tmp_path / 'new' / 'a', config=config)
    assert sorted(tmp_path.iterdir()) == before


def test_a_config_of_a_smaller_backbone(trained, tmp_path):
    """All that it has is in the file, and the file has more."""
    path, cfg, _ = trained
    cfg.dump(tmp_path / 'config.py')
    content = read_checkpoint(path)
    content['state_dict']['backbone.layer1.2.conv1.weight'] = torch.ones(8, 8, 3, 3)
    torch.save(content, tmp_path / 'larger.pth')
    with pytest.raises(CheckpointError, match=r'together: the backbone of the config has no layer1\.2\.'):
        publish_checkpoint(tmp_path / 'larger.pth', tmp_path / 'a', config=tmp_path / 'config.py')
    assert not [*tmp_path.glob('a-*'), *tmp_path.glob('.*')]


def test_no_folder_to_write_to(trained, tmp_path):
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(OSError, match='file/a cannot be written: .*another path'):
        publish_checkpoint(trained[0], tmp_path / 'file' / 'a')
    assert (tmp_path / 'file').read_text() == 'mine'
