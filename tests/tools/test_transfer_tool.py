"""The tool of the transfer suite on small data sets; tools/train.py runs for real, in forked processes."""

import hashlib
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from child_process import run_tool
from mmengine.registry import MODELS
from published_data import cub200, pets

FOLDER = Path(__file__).parents[2] / 'tools/benchmarks'
OPTIONS = (
    'model.backbone.base_channels=8 model.backbone.stem_channels=8 model.head.in_channels=256 '
    'train_dataloader.batch_size=2 val_dataloader.batch_size=2 '
    'train_dataloader.num_workers=0 val_dataloader.num_workers=0 '
    'train_dataloader.persistent_workers=False val_dataloader.persistent_workers=False'
)


class Forked:
    """In place of ``Popen([python, '-W', 'ignore', script, ...])``: need not import everything again."""

    def __init__(self, command: list[str], **options: object) -> None:
        done = run_tool(*command[3:])
        self.stdout = (done.stdout + done.stderr).splitlines(keepends=True)
        self.wait = lambda: done.returncode


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, imported as in a run: with its own folder in front."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(FOLDER)  # main() goes to the repository's root; this brings the test back
    module = importlib.import_module('transfer')
    processes = SimpleNamespace(Popen=Forked, PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT)
    monkeypatch.setattr(sys.modules['commands'], 'subprocess', processes)
    return module


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    backbone = MODELS.build(dict(type='mmpretrain.ResNet', depth=50, base_channels=8, stem_channels=8))
    torch.save(dict(state_dict=backbone.state_dict()), tmp_path / 'backbone.pth')
    return tmp_path / 'backbone.pth'


def report(work_dir: Path, checkpoint: Path, ending: str = 'md') -> Path:
    return work_dir / f'results_{hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:8]}.{ending}'


def call(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, 'argv', ['transfer.py', *map(str, arguments)])
    tool.main()


def test_runs_reports_skips(tool, checkpoint, tmp_path, monkeypatch, capsys) -> None:
    """Two data sets and a missing one, each protocol, then the same command again."""
    pets(tmp_path / 'data/oxford-iiit-pet')
    cub200(tmp_path / 'data/CUB_200_2011')
    work_dir = tmp_path / 'work'
    arguments = (
        *(checkpoint, '--datasets', 'pets', 'food101', '--data', tmp_path / 'data', '--work-dir', work_dir),
        *('--protocol', 'linear', 'finetune', '--options', OPTIONS),
        *('--linear-options', 'train_cfg.max_epochs=1', '--finetune-options', 'train_cfg.max_iters=1'),
    )
    with pytest.raises(SystemExit) as status:
        call(tool, monkeypatch, *arguments)
    output = capsys.readouterr().out
    assert status.value.code == 1
    assert '$ python tools/train.py configs/benchmarks/classification/transfer/linear_r50_pets.py' in output
    assert f'loaded 318/318 keys from {checkpoint}' in output
    missing = output.split('NOT RUN TO THE END: ')[1]
    assert missing.startswith(
        'food101, linear, pretrained; food101, finetune, pretrained\nFood-101: there is'
    )
    assert output.count('images/<class>/<number>.jpg') == 1
    content = json.loads(report(work_dir, checkpoint, 'json').read_text())
    (row,) = content['results']
    assert row['metric'] == 'mean_per_class/recall' and len(content['failures']) == 2
    values = [row['linear, pretrained'], row['finetune, pretrained']]
    lines = report(work_dir, checkpoint).read_text().splitlines()
    assert lines[0] == '| data set | metric, % | linear, pretrained | finetune, pretrained |'
    assert lines[2:] == [f'| pets | mean per class | {values[0]:.2f} | {values[1]:.2f} |']
    # What mmengine itself recorded at the end of each run.
    for protocol, value in zip(('linear', 'finetune'), values, strict=True):
        (scalars,) = work_dir.glob(f'{protocol}_pets_pretrained_*/*/vis_data/scalars.json')
        last = [json.loads(line) for line in scalars.read_text().splitlines()][-1]
        assert value == pytest.approx(last['mean_per_class/recall'], abs=1e-3)

    monkeypatch.setattr(tool, 'run', lambda *_: pytest.fail('ran anew'))
    with pytest.raises(SystemExit):
        call(tool, monkeypatch, *arguments)
    assert capsys.readouterr().out.count('done before') == 2
    assert report(work_dir, checkpoint).read_text().splitlines() == lines
    monkeypatch.setattr(tool, 'run', lambda *_: 'Epoch(val) [1][1/1]    accuracy/top1: 12.5  time: 1\n')
    call(tool, monkeypatch, *arguments[:2], 'cub200', *arguments[4:8], '--random')
    lines = report(work_dir, checkpoint).read_text().splitlines()
    assert lines[0] == (
        '| data set | metric, % | linear, pretrained | linear, random | finetune, pretrained |'
    )
    assert lines[2:] == [
        f'| pets | mean per class | {values[0]:.2f} | – | {values[1]:.2f} |',
        '| cub200 | top-1 | 12.50 | 12.50 | – |',
    ]
    assert len(json.loads(report(work_dir, checkpoint, 'json').read_text())['results']) == 2
    assert (
        '--backbone'
        not in json.loads((work_dir / 'linear_cub200_random/transfer.json').read_text())['command']
    )


def test_a_failing_run_is_reported_and_the_others_go_on(
    tool, checkpoint, tmp_path, monkeypatch, capsys
) -> None:
    pets(tmp_path / 'data/oxford-iiit-pet')
    cub200(tmp_path / 'data/CUB_200_2011')

    def run(title: str, *command: str) -> str:
        if 'pets' in title:
            raise SystemExit('RuntimeError: out of memory\nfailed: python tools/train.py')
        return 'Iter(val) [1/1]    accuracy/top1: 50.0000  mean_per_class/recall: 25.0\n'

    monkeypatch.setattr(tool, 'run', run)
    with pytest.raises(SystemExit):
        call(
            tool,
            monkeypatch,
            *(checkpoint, '--datasets', 'pets', 'cub200', '--data', tmp_path / 'data'),
            *('--work-dir', tmp_path / 'work', '--protocol', 'finetune'),
        )
    output = capsys.readouterr().out
    assert '| cub200 | top-1 | 50.00 |' in output
    assert 'NOT RUN TO THE END: pets, finetune, pretrained\nRuntimeError: out of memory' in output
    content = json.loads(report(tmp_path / 'work', checkpoint, 'json').read_text())
    assert [row['dataset'] for row in content['results']] == ['cub200']


def test_another_content_of_the_checkpoint(tool, checkpoint, tmp_path, monkeypatch) -> None:
    """What it had scored before stays, is not taken over and not shown; the random backbone's score is."""
    cub200(tmp_path / 'data/CUB_200_2011')
    outputs = iter(('10.0', '20.0', '30.0'))
    monkeypatch.setattr(tool, 'run', lambda *_: f'Epoch(val) [1][1/1]    accuracy/top1: {next(outputs)}\n')
    work_dir = tmp_path / 'work'
    arguments = (
        *(checkpoint, '--datasets', 'cub200', '--data', tmp_path / 'data', '--work-dir', work_dir),
        '--random',
    )
    call(tool, monkeypatch, *arguments)
    (folder,) = work_dir.glob('linear_cub200_pretrained_*')
    record = json.loads((folder / 'transfer.json').read_text())
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert (record['checkpoint_sha256'], record['value']) == (digest, 10)
    (folder / 'last_checkpoint').write_text('of the first backbone')
    (work_dir / 'linear_pets_pretrained').mkdir()
    other = json.dumps(dict(record, dataset='pets', metric='mean_per_class/recall'))
    (work_dir / 'linear_pets_pretrained/transfer.json').write_text(other)
    contents = {path: path.read_text() for path in folder.iterdir()}
    first_table = report(work_dir, checkpoint)
    assert '| 10.00 | 20.00 |' in first_table.read_text()

    checkpoint.write_bytes(checkpoint.read_bytes() + b'0')
    call(tool, monkeypatch, *arguments)
    lines = report(work_dir, checkpoint).read_text().splitlines()
    assert lines[2:] == ['| cub200 | top-1 | 30.00 | 20.00 |']
    assert '| 10.00 | 20.00 |' in first_table.read_text()
    assert {path: path.read_text() for path in folder.iterdir()} == contents
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    record = json.loads((work_dir / f'linear_cub200_pretrained_{digest[:8]}/transfer.json').read_text())
    assert (record['checkpoint_sha256'], record['value']) == (digest, 30)


def test_results_of_another_command_are_not_touched(tool, checkpoint, tmp_path, monkeypatch) -> None:
    cub200(tmp_path / 'data/CUB_200_2011')
    arguments = (
        checkpoint,
        '--datasets',
        'cub200',
        '--data',
        tmp_path / 'data',
        '--work-dir',
        tmp_path / 'work',
    )
    monkeypatch.setattr(tool, 'run', lambda *_: 'no figure')
    with pytest.raises(SystemExit):
        call(tool, monkeypatch, *arguments)
    with pytest.raises(SystemExit, match='with another command'):  # of an unfinished run
        call(tool, monkeypatch, *arguments, '--options', 'randomness.seed=1')
    (folder,) = (tmp_path / 'work').glob('linear_cub200_*')
    (folder / 'epoch_1.pth').touch()  # of the unfinished one, which tools/train.py would not write over

    def run(title: str, *command: str) -> str:
        assert not list(folder.glob('*.pth'))
        return 'Epoch(val) [1][1/1]    accuracy/top1: 10.0\n'

    monkeypatch.setattr(tool, 'run', run)
    call(tool, monkeypatch, *arguments)
    files = {path: path.read_text() for path in (tmp_path / 'work').rglob('*.json')}
    monkeypatch.setattr(tool, 'run', lambda *_: pytest.fail('ran'))
    with pytest.raises(SystemExit, match=r'with another command, of .*train\.py.* give another --work-dir'):
        call(tool, monkeypatch, *arguments, '--options', 'randomness.seed=1')
    assert {path: path.read_text() for path in (tmp_path / 'work').rglob('*.json')} == files


def test_name_of_the_random_backbone(tool, checkpoint, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit):
        call(tool, monkeypatch, checkpoint, '--backbone-name', 'random')
    assert 'stands for the random-initialised backbone' in capsys.readouterr().err


def test_missing_checkpoint(tool, tmp_path, monkeypatch) -> None:
    with pytest.raises(SystemExit, match=r'There is no checkpoint .*nothing\.pth'):
        call(tool, monkeypatch, tmp_path / 'nothing.pth')


def test_every_config_of_the_suite_can_be_asked_for(tool) -> None:
    configs = {path.stem.split('_')[-1] for path in (tool.ROOT / tool.CONFIGS).glob('*.py')}
    assert configs == set(tool.DATASETS)
