"""No tool runs code from a checkpoint, unless it is told to trust it."""

import argparse
import functools
import http.server
import pickle
import re
import threading
from pathlib import Path

import pytest
import torch
from checkpoint_readers import commands, run, write_configs
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import CheckpointLoader

from clsa_mm.checkpoints.read import CheckpointError, read_checkpoint, register_safe_loader, trust_checkpoints

ROOT = Path(__file__).resolve().parents[2]
FORCE, FORCE_NOT = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A checkpoint that touches a file; afterwards it must not have, and must be able to."""
    mark, path = tmp_path / 'mark', tmp_path / 'evil.pth'
    torch.save({'state_dict': {'backbone.conv1.weight': torch.ones(1)}, 'meta': Payload(mark)}, path)
    yield path
    assert not mark.exists()
    monkeypatch.setenv(FORCE, '0')
    monkeypatch.setenv(FORCE_NOT, '0')
    torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.fixture
def configs(tiny_pretraining, image_root, tmp_path):
    return write_configs(tiny_pretraining, image_root, tmp_path)


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Gives the URL of a local file; downloads go to `cache`."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('no_proxy', '*')
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'http://127.0.0.1:{server.server_address[1]}'
        yield lambda path: f'{address}/{path.relative_to(tmp_path)}'
        server.shutdown()


@pytest.mark.parametrize('case', commands('', '', ''))
def test_every_tool_refuses(case, evil, configs, monkeypatch):
    with pytest.raises((CheckpointError, SystemExit), match=r'could run code.*--trust-checkpoint'):
        run(monkeypatch, *commands(evil, *configs)[case])


@pytest.mark.parametrize('case', ['backbone', 'knn', 'convert'])
def test_pickles_of_arrays_too(case, evil, configs, monkeypatch):
    path = evil.with_suffix('.pkl')
    path.write_bytes(pickle.dumps(dict(model={}, more=Payload(evil.with_name('mark')))))
    with pytest.raises((CheckpointError, SystemExit), match=r'could run code.*--trust-checkpoint'):
        run(monkeypatch, *commands(path, *configs)[case])


@pytest.mark.parametrize('case', ['load_from', 'knn of a config'])
def test_downloads_too(case, evil, configs, serve, monkeypatch, tmp_path):
    """mmengine reads what it downloaded by itself."""
    monkeypatch.setenv(FORCE_NOT, '1')  # a user's setting that would let it
    with pytest.raises(pickle.UnpicklingError, match='Weights only load failed'):
        run(monkeypatch, *commands(serve(evil), *configs)[case])
    assert list((tmp_path / 'cache').rglob(evil.name))  # it did get there


@pytest.fixture
def odd(configs, tmp_path):
    """A harmless checkpoint with an object in it."""
    init_default_scope('mmpretrain')
    model = MODELS.build(Config.fromfile(configs[0]).model)
    path = tmp_path / 'odd.pth'
    torch.save(dict(state_dict=model.state_dict(), args=argparse.Namespace(lr=0.1)), path)
    with pytest.raises(CheckpointError, match=r'wants to load `argparse\.Namespace`'):
        read_checkpoint(path)
    return path


@pytest.mark.parametrize('case', ['load_from', 'backbone', 'test', 'knn', 'features', 'convert', 'publish'])
def test_a_trusted_file_is_read(case, odd, configs, monkeypatch, capfd):
    command = commands(odd, *configs)[case]
    if '--cfg-options' in command:  # takes all that follows
        command.insert(2, '--trust-checkpoint')
    else:
        command.append('--trust-checkpoint')
    run(monkeypatch, *command)
    text = re.sub(r'\s+', ' ', ''.join(capfd.readouterr()))
    assert f'TRUSTED CHECKPOINT: {odd} wants to load `argparse.Namespace`' in text


@pytest.fixture
def poisoned(configs, tmp_path):
    """A checkpoint of tensors and plain data to resume from, with texts that mmengine would run."""
    init_default_scope('mmpretrain')
    model = MODELS.build(Config.fromfile(configs[0]).model)
    program = f'import os; os.mkdir({str(tmp_path / "mark")!r}); gpu_ids = [0]'
    path = tmp_path / 'work' / 'epoch_1.pth'
    path.parent.mkdir()
    path.with_name('last_checkpoint').write_text(str(path))
    meta = dict(epoch=1, iter=6, seed=0, config=program, cfg=program)
    hub = dict(runtime_info=dict(cfg=program), log_scalars={}, resumed_keys={})
    torch.save(dict(state_dict=model.state_dict(), meta=meta, message_hub=hub), path)
    torch.load(path, weights_only=True)  # nothing that a pickle would run
    yield path
    assert not (tmp_path / 'mark').exists()
    Config.fromstring(program, '.py')
    assert (tmp_path / 'mark').exists()


def resume(path, monkeypatch, pretrain, *arguments):
    """Go on from a checkpoint, or from the latest one; by itself the config has no further epoch."""
    run(monkeypatch, 'train.py', pretrain, '--resume', *path, *arguments)


@pytest.mark.parametrize('source', ['path', 'latest', 'url'])
def test_resuming_runs_no_text(source, poisoned, configs, monkeypatch, serve):
    before = poisoned.read_bytes()
    path = dict(path=lambda: [poisoned], latest=list, url=lambda: [serve(poisoned)])[source]()
    resume(path, monkeypatch, configs[0], '--cfg-options', 'train_cfg.max_epochs=2')
    assert poisoned.read_bytes() == before  # a first epoch of its own would stand there
    resumed = read_checkpoint(poisoned.with_name('epoch_2.pth'))
    assert resumed['meta']['epoch'] == 2 and 'os.mkdir' not in str((resumed['meta'], resumed['message_hub']))


def test_inferencers_run_no_text(poisoned):
    """mmengine's take their config from the checkpoint where none is given."""
    register_safe_loader()
    with pytest.raises(ValueError, match='Cannot find the config in the checkpoint'):
        BaseInferencer._init_model(None, {}, str(poisoned))


def test_a_trusted_text_is_run(poisoned, configs, monkeypatch, tmp_path):
    resume([poisoned], monkeypatch, configs[0], '--trust-checkpoint', '--force')
    (tmp_path / 'mark').rmdir()


def test_no_file_is_removed_by_a_text(tmp_path):
    """mmengine deletes the best checkpoint so far, and those that are more than enough."""
    best = str(tmp_path / 'best_acc_epoch_1.pth')
    elsewhere = {f'best_ckpt_{name}': str(tmp_path / name) for name in ('epoch_1.pth', 'other/best_acc.pth')}
    info = dict(best_ckpt=best, **elsewhere, keep_ckpt_ids=[1, '/../../a'])
    path = tmp_path / 'epoch_2.pth'
    torch.save(dict(meta={}, message_hub=dict(runtime_info=info, log_scalars={}, resumed_keys={})), path)
    register_safe_loader()
    loaded = CheckpointLoader.load_checkpoint(str(path))
    assert loaded['message_hub']['runtime_info'] == dict(best_ckpt=best)


def test_trust_ends_with_the_next_tool(odd):
    register_safe_loader(trusted=True)
    assert read_checkpoint(odd)['args'].lr == 0.1
    register_safe_loader()
    with pytest.raises(CheckpointError, match='could run code'):
        read_checkpoint(odd)


def test_a_trusted_file_that_cannot_be_read(tmp_path):
    path = tmp_path / 'a.pkl'
    path.write_bytes(b'cno_such_module\nname\n.')
    trust_checkpoints()
    with pytest.raises(CheckpointError, match='cannot be read even as a trusted file: No module'):
        read_checkpoint(path)


def test_no_tool_is_forgotten():
    """Whatever loads weights, or builds a model that a config can tell to, has the option."""
    loads = re.compile(
        r'load_backbone|build_frozen_model|Runner\.from_cfg|read_checkpoint|init_weights|convert_file|publish_ch'
    )
    tools = [path for path in (ROOT / 'tools').rglob('*.py') if loads.search(path.read_text())]
    assert len(tools) >= 5
    for path in tools:
        assert 'register_safe_loader(args.trust_checkpoint)' in path.read_text(), path
