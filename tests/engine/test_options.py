"""Options of the command line are read as they are meant, or refused with what to write."""

import argparse

import pytest

from clsa_mm.engine.options import OptionsAction


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
