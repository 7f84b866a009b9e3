"""Options of the command line are read as they are meant, or refused with what to write."""

import argparse
from pathlib import Path

import pytest

from clsa_mm.engine.options import OptionsAction
from clsa_mm.engine.settings import load_config

CONFIG = Path(__file__).parents[2] / 'configs/clsa_r50_8xb32_200e.py'


def read(*options):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction)
    return parser.parse_args(['--cfg-options', *options]).cfg_options


def test_plain_values_and_lists_are_read():
    assert read('a.b=3', 'c=[1,(2,0.5)]', 'd=epoch_{}.pth', 'e=None', 'f=x=y', 'g=true') == {
        'a.b': 3, 'c': [1, (2, 0.5)], 'd': 'epoch_{}.pth', 'e': None, 'f': 'x=y', 'g': True,
    }  # fmt: skip


@pytest.mark.parametrize(
    'value',
    [
        "dict(type='AdamW',lr=0.001)",
        "{'_delete_':True,'type':'AdamW'}",
        '[dict(type="EMAHook")]',
        "[(1,2),{'a':3}]",
    ],
)
def test_dictionaries_are_refused(value, capsys):
    with pytest.raises(SystemExit):
        read('lr=1', f'optim_wrapper.optimizer={value}')
    error = capsys.readouterr().err
    assert '--cfg-options optim_wrapper.optimizer: options take plain values' in error
    assert 'optim_wrapper.optimizer.type=...' in error


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('a', 'write name=value'),
        ('=3', 'write name=value'),
        ('a=Foo(1,2)', 'a=Foo(1,2): the brackets'),
        ('a=[1,2', 'a=[1,2: the brackets'),
    ],
)
def test_what_cannot_be_read_is_refused(option, message, capsys):
    with pytest.raises(SystemExit):
        read(option)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    'value',
    [
        "__import__('os').mkdir('HERE')",
        "[__import__('os').mkdir('HERE')]",
        "(lambda:__import__('os').mkdir('HERE'))()",
        '{{__import__("os").mkdir("HERE")}}',
        '$(mkdir HERE)',
        "!!python/object/apply:os.mkdir ['HERE']",
        '1+1',
        '2**99',
    ],
)
def test_values_are_text_and_never_evaluated(value, tmp_path):
    value = value.replace('HERE', str(tmp_path / 'here'))
    try:
        found = read(f'a.b={value}')['a.b']
    except SystemExit:
        found = ''
    flat = found if isinstance(found, list | tuple) else [found]
    assert all(isinstance(item, str) for item in flat) and not (tmp_path / 'here').exists()


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('model.type', 'os.mkdir'),
        ('optim_wrapper.optimizer.type', 'subprocess.call'),
        ('optim_wrapper.constructor', 'os.mkdir'),
        ('train_dataloader.collate_fn.type', 'builtins.exec'),
        ('default_hooks.health.type', 'evil_module.Hook'),
        ('visualizer.type', 'mmengine.visualization.Visualizer'),
    ],
)
def test_a_type_is_not_imported_by_its_path(name, value, tmp_path, monkeypatch):
    (tmp_path / 'evil_module.py').write_text(f'open({str(tmp_path / "here")!r}, "w")')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=f'{name}={value}: options name what is registered'):
        load_config(CONFIG, {name: value, 'model.path': str(tmp_path / 'here')})
    assert not (tmp_path / 'here').exists()


def test_a_registered_type_with_its_scope_is_taken():
    assert load_config(CONFIG, {'model.backbone.type': 'mmpretrain.ResNet'}).model.backbone.type
