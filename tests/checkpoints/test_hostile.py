"""Hostile files of every kind through everything that reads a checkpoint: refused before they harm."""

import pickle
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from checkpoint_readers import commands, run, write_configs
from hostile_checkpoints import KINDS, PICKLES, make_hostile, pickled, state

from clsa_mm.checkpoints.backbone import load_backbone
from clsa_mm.checkpoints.config_text import backbone_config, build_backbone
from clsa_mm.checkpoints.plain_pickle import PlainUnpickler
from clsa_mm.checkpoints.read import CheckpointError, read_checkpoint, trust_checkpoints

TOOLS = tuple(commands('', '', ''))
REFUSED = (CheckpointError, FileNotFoundError, SystemExit)
# Of each of our errors one word; none is that memory ran out.
SAYS = (
    r'is refused|could run code|not a checkpoint that torch|no checkpoint file|is a folder|cannot be resumed'
)


@pytest.fixture(autouse=True)
def _no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Code in the file makes no folder and imports nothing; what reads it gets 1 GB more of memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
    assert not (tmp_path / 'mark').exists() and 'evil_module' not in sys.modules


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize('kind', KINDS)
def test_reading(kind: str, tmp_path: Path) -> None:
    path = make_hostile(kind, tmp_path, tmp_path / 'mark')
    with pytest.raises(REFUSED, match=SAYS) as caught:
        read_checkpoint(path)
    assert path.name in str(caught.value) and not re.search('alloc|MemoryError', str(caught.value))


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize('share', [True, pytest.param(False, marks=pytest.mark.slow)], ids=['share', 'all'])
@pytest.mark.parametrize('case', TOOLS)
def test_every_tool(
    case: str, share: bool, tiny_pretraining, image_root: Path, tmp_path: Path, monkeypatch
) -> None:
    """Each one gets its share of the kinds, and in the slow tests all of them."""
    configs = write_configs(tiny_pretraining, image_root, tmp_path)
    kinds = KINDS[TOOLS.index(case) :: len(TOOLS)] if share else KINDS
    for number, kind in enumerate(kinds):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = make_hostile(kind, folder, tmp_path / 'mark')
        with pytest.raises(REFUSED, match=SAYS):
            run(monkeypatch, *commands(path, *configs)[case])


@pytest.mark.parametrize('kind', ['bomb', 'storage of petabytes', 'repeated without end', 'pipe'])
def test_trust_is_no_leave_to_be_large(kind: str, tmp_path: Path) -> None:
    trust_checkpoints()
    with pytest.raises(REFUSED, match=SAYS):
        read_checkpoint(make_hostile(kind, tmp_path, tmp_path / 'mark'))


def test_what_they_do_to_torch(tmp_path: Path) -> None:
    """The oracle: torch's own safe reading takes the word of such a file for its size."""
    bomb = make_hostile('bomb', tmp_path, tmp_path / 'mark')
    inflated = torch.load(bomb, weights_only=True)['state_dict']['backbone.conv1.weight'].nbytes
    assert inflated > 1000 * bomb.stat().st_size
    kept = torch.ones(1)
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=dict(a=kept.expand(1 << 18))), path)
    assert torch.load(path, weights_only=True)['state_dict']['a'].numel() == 1 << 18
    assert read_checkpoint(path)['state_dict']['a'].numel() == 1 << 18  # so much may be repeated
    torch.save(dict(state_dict=dict(a=kept.expand(1 << 28))), path)
    assert torch.load(path, weights_only=True)['state_dict']['a'].nbytes == 1 << 30
    with pytest.raises(CheckpointError, match='claims 268435456 elements, up to number 0 of a storage of 1'):
        read_checkpoint(path)


CONTENTS = dict(
    kinds=[torch.ones(2, dtype=dtype) for dtype in (torch.float16, torch.bfloat16, torch.int8, torch.bool)],
    more=[torch.ones(2, dtype=dtype) for dtype in (torch.complex64, torch.uint16, torch.float8_e4m3fn)],
    view=torch.arange(12).reshape(3, 4)[1:, ::2],
    turned=torch.arange(12).reshape(3, 4).t(),
    empty=torch.zeros(0, 2048, 7, 7),
    scalar=torch.tensor(1.5),
    parameter=torch.nn.Parameter(torch.ones(3)),
    tied=[torch.ones(3)] * 2,
    plain=[1, -5, 1 << 70, 2.5, None, True, 'text', b'bytes', {1, 2}, (3, (4,)), complex(1, 2)],
    size=torch.Size([1, 2]),
    dtype=torch.float32,
    device=torch.device('cuda:0'),
)


@pytest.mark.parametrize('new', [True, False])
def test_what_is_no_harm_is_read_as_torch_reads_it(new: bool, tmp_path: Path) -> None:
    contents = {k: v for k, v in CONTENTS.items() if new or k != 'more'}
    torch.save(contents, tmp_path / 'a.pth', _use_new_zipfile_serialization=new)
    found, expected = read_checkpoint(tmp_path / 'a.pth'), torch.load(tmp_path / 'a.pth', weights_only=True)
    assert str(found) == str(expected) and found.keys() == contents.keys()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('-' * 100_000 + '1', 'not the plain data'),
        ('model = dict(backbone=dict(a=' + '[' * 5000 + ']' * 5000 + '))', 'not the plain data'),
        (
            'model = dict(backbone=dict(depth=1000000000))',
            '1000000000 is larger than any number of a backbone',
        ),
        ('model = dict(backbone=dict(rate=1e999))', 'is larger than any number'),
        ('#' * 2_000_000, 'has 2000000 characters, and at most'),
        ('model = dict(backbone={[1]})', 'not the plain data'),
        ('model = dict(backbone=dict(depth=1.7e308 + 1.7e308j))', 'not the plain data'),
    ],
)
def test_texts_that_are_too_much(text: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        backbone_config(text)


def test_a_config_larger_than_its_weights(tmp_path: Path) -> None:
    weights = {'backbone.conv1.weight': torch.ones(64, 3, 7, 7)}
    text = "model = dict(backbone=dict(type='ResNet', depth=50, base_channels=4096, stem_channels=64))"
    torch.save(dict(meta=dict(cfg=text), state_dict=weights), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='asks for a backbone of more than 10018816 numbers'):
        load_backbone(tmp_path / 'a.pth')
    assert build_backbone(dict(type='ResNet', depth=18), most=12_000_000).depth == 18


def test_the_pickle_of_python_is_read_alike(tmp_path: Path) -> None:
    """Values and order, in all protocols; the oracle is Python's own."""
    content = dict(a=[1, 2.5, None, 'x'], b=({1: 'y'}, True, b'z'), c={'d': [[]]})
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / 'a').write_bytes(pickle.dumps(content, protocol))
        stand_ins = {('_codecs', 'encode'): lambda text, encoding: text.encode(encoding)}
        with (tmp_path / 'a').open('rb') as file:
            assert PlainUnpickler(file, stand_ins).load() == content
    assert pickle.loads(pickled(content)) == content and len(state(1)) == 2


def test_there_are_enough_of_them() -> None:
    assert len(KINDS) >= 40 and set(PICKLES) < set(KINDS)
