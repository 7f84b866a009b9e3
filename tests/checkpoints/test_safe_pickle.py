"""numpy's own pickles are the oracle for what is read, in every protocol."""

import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from clsa_mm.checkpoints.backbone import CheckpointError, read_checkpoint
from clsa_mm.checkpoints.safe_pickle import dump_arrays, load_arrays

ARRAYS = dict(
    floats=np.arange(6, dtype='f4').reshape(2, 3),
    fortran=np.asfortranarray(np.arange(6, dtype='f8').reshape(2, 3)),
    strided=np.arange(12, dtype='f4').reshape(3, 4)[:, ::2],
    big_endian=np.arange(3, dtype='>i4'),
    empty=np.zeros((0, 3), 'f4'),
    scalar_array=np.array(7),
    bools=np.array([True, False]),
    halves=np.array([1.5], 'f2'),
    bytes=np.arange(256, dtype='u1'),
)


def write(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def same(found: dict, expected: dict) -> bool:
    return found.keys() == expected.keys() and all(
        np.array_equal(found[k], expected[k]) and found[k].dtype == expected[k].dtype for k in found
    )


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_reads_what_numpy_pickles(protocol, tmp_path):
    content = dict(model=OrderedDict(ARRAYS), text='a', list=[1, (2.5, None, True)], number=np.float32(3))
    found = load_arrays(write(tmp_path / 'a.pkl', content, protocol))
    assert same(found['model'], ARRAYS) and all(array.flags.writeable for array in found['model'].values())
    assert found['text'] == 'a' and found['list'] == [1, (2.5, None, True)] and found['number'] == 3


def test_reads_the_names_of_numpy_1(tmp_path):
    data = pickle.dumps(ARRAYS, 2)
    old = data.replace(b'cnumpy._core.multiarray\n', b'cnumpy.core.multiarray\n')
    new = old.replace(b'cnumpy.core.multiarray\n', b'cnumpy._core.multiarray\n')
    assert old != new
    for data in (old, new):
        (tmp_path / 'a.pkl').write_bytes(data)
        assert same(load_arrays(tmp_path / 'a.pkl'), ARRAYS)


def test_writes_what_pickle_reads(tmp_path):
    path = tmp_path / 'a.pkl'
    with path.open('wb') as file:
        dump_arrays(dict(model=ARRAYS, name='x'), file)
    found = pickle.loads(path.read_bytes())
    assert same(found['model'], ARRAYS) and found['name'] == 'x'
    assert same(load_arrays(path)['model'], ARRAYS)


class Call:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    'call',
    [
        (os.system, 'touch mark'), (eval, '1'), (getattr, dict, 'get'), (Path.touch, Path('mark')),
        (np.load, 'x'), (np.frombuffer, b'a'), (np.memmap, 'mark'), (io.open, 'mark', 'w'),
        (type, 'x', (), {}),
    ],
)  # fmt: skip
def test_calls_nothing_else(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / 'a.pkl', dict(model=ARRAYS, x=Call(*call)))
    with pytest.raises(pickle.UnpicklingError, match='GLOBAL'):
        load_arrays(path)
    with pytest.raises(CheckpointError, match='wants to load `.*could run code'):
        read_checkpoint(path)
    assert not (tmp_path / 'mark').exists()


@pytest.mark.parametrize(
    'array',
    [np.array([{}], object), np.zeros(1, [('a', 'f4')]), np.array(['text']), np.array(['2020'], 'M8[D]')],
    ids=['object', 'record', 'text', 'date'],
)
def test_arrays_of_anything_but_numbers(array, tmp_path):
    with pytest.raises(CheckpointError, match='only numbers are read|damaged'):
        read_checkpoint(write(tmp_path / 'a.pkl', dict(model=dict(a=array))))


def test_checkpoints_come_as_tensors(tmp_path):
    found = read_checkpoint(write(tmp_path / 'a.pkl', dict(model=ARRAYS, __author__='x')))
    assert found['__author__'] == 'x' and all(isinstance(v, torch.Tensor) for v in found['model'].values())
    assert same(
        {k: v.numpy() for k, v in found['model'].items()}, dict(ARRAYS, big_endian=np.arange(3, dtype='i4'))
    )


def test_damaged_files(tmp_path):
    whole = write(tmp_path / 'whole.pkl', dict(model=ARRAYS)).read_bytes()
    for cut in (whole[:100], whole[: len(whole) // 2], b'', b'text'):
        (tmp_path / 'cut.pkl').write_bytes(cut)
        with pytest.raises(CheckpointError, match='cut.pkl is not a checkpoint'):
            read_checkpoint(tmp_path / 'cut.pkl')


def test_a_torch_file_may_be_called_pkl(tmp_path):
    torch.save(dict(a=torch.ones(2)), tmp_path / 'a.pkl')
    assert torch.equal(read_checkpoint(tmp_path / 'a.pkl')['a'], torch.ones(2))
