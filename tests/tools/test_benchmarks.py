"""The benchmarks run and print what they say; their figures are not judged here."""

import re
import statistics
import sys
from pathlib import Path

import pytest
from child_process import run_tool

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'tools' / 'benchmarks'))

import compare  # noqa: E402
from commands import claim, progress, run  # noqa: E402
from compare import table  # noqa: E402


def call(script: str, *arguments: str) -> str:
    done = run_tool(f'tools/benchmarks/{script}', *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow  # a process for each peak of memory
def test_losses_are_the_same_in_all_ways():
    output = call('bench_losses.py', '--batch-size', '4', '--queue-len', '200', '--repeat', '1')
    losses = [float(loss) for loss in re.findall(r': loss ([\d.]+) in all three ways', output)]
    # Distributions over 204 entries, temperature 0.2, unit vectors: somewhat above ln 204 each.
    assert len(losses) == 2
    assert (5 + 25) * 5.31 < losses[0] < (5 + 25) * 5.7
    assert 2 * 5.31 < losses[1] < 2 * 5.7
    rows = re.findall(r'^ +(official|on logits|attention) +[\d.]+ ms +[\d.]+ MiB$', output, re.M)
    assert rows == ['official', 'on logits', 'attention'] * 2


def test_heads_stand_beside_moco_v2():
    config = 'configs/clsa-multi_r50_8xb32_200e.py'
    output = call('bench_heads.py', config, '--batch-size', '4', '--queue-len', '64', '--repeat', '1')
    rows = [row.strip('| ').split(' | ') for row in output.splitlines() if row.startswith('| ')]
    assert [row[:2] for row in rows[1:]] == [
        ['mocov2_r50_8xb32_200e', '1'],
        ['clsa-multi_r50_8xb32_200e', '6'],
    ]
    milliseconds, ratios = zip(*(map(float, row[2:]) for row in rows[1:]), strict=True)
    assert ratios[0] == 1
    assert ratios[1] == pytest.approx(milliseconds[1] / milliseconds[0], abs=0.1 * ratios[1])


def test_step_cost_prints_both_models_and_the_ratio():
    output = call('step_cost.py', '--batch-size', '2', '--steps', '1', '--warm-up', '0', '--queue-len', '64')
    shares = r'[\d.]+% of it no encoder, watching adds [\d.]+%, comparing ranks [\d.]+%'
    seconds = {
        name: float(re.search(rf'^{name} +([\d.]+) s per step.* {shares}$', output, re.M).group(1))
        for name in ('MoCo v2', 'CLSA-Single')
    }
    ratio = float(re.search(r'^ratio +([\d.]+)', output, re.M).group(1))
    assert ratio == pytest.approx(seconds['CLSA-Single'] / seconds['MoCo v2'], rel=0.02)


def test_table():
    text = table({'floor': {3: (30.0, 35.5), 5: (32.0, 36.5)}, 'ours': {3: (50.0, 60.0), 5: (50.0, 61.0)}})
    spread = statistics.stdev([60.0, 61.0])
    assert text.splitlines() == [
        '| backbone | kNN | linear |',
        '|---|---|---|',
        '| floor | 31.00 ± 1.41 | 36.00 ± 0.71 |',
        f'| ours | 50.00 ± 0.00 | 60.50 ± {spread:.2f} |',
        '| floor, seed 3 | 30.00 | 35.50 |',
        '| ours, seed 3 | 50.00 | 60.00 |',
        '| floor, seed 5 | 32.00 | 36.50 |',
        '| ours, seed 5 | 50.00 | 61.00 |',
    ]
    assert table({'one seed': {0: (1.0, 2.0)}}).endswith('| one seed | 1.00 | 2.00 |')
    uneven = table({'floor': {0: (1.0, 2.0), 1: (3.0, 4.0)}, 'ours': {1: (5.0, 6.0)}}).splitlines()
    assert uneven[3:] == [
        '| ours | 5.00 | 6.00 |',
        '| floor, seed 0 | 1.00 | 2.00 |',
        '| floor, seed 1 | 3.00 | 4.00 |',
        '| ours, seed 1 | 5.00 | 6.00 |',
    ]


def test_table_without_a_linear_classifier():
    assert table({'one': {0: (1.0,)}, 'two': {0: (2.0,)}}).splitlines() == [
        '| backbone | kNN |', '|---|---|', '| one | 1.00 |', '| two | 2.00 |'
    ]  # fmt: skip
    assert table({'one': {0: (1.0, 2.0)}, 'two': {0: (3.0,)}}).endswith('| two | 3.00 | – |')


CONFIG = 'configs/cifar10/clsa_r18_1xb256_200e_cifar10.py'
LINEAR = 'configs/benchmarks/classification/linear_r18_1xb256_100e_cifar10.py'
OTHERS = [
    ['train.py', 'a.py', '--cfg-options', 'model.beta=0.5'],
    ['train.py', 'b.py'],
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A finished run of ``train.py a.py``, in the folder ``run``."""
    monkeypatch.chdir(tmp_path)
    for name in 'ab':
        (tmp_path / f'{name}.py').write_text('max_epochs = 2\n')
    claim(tmp_path / 'run', ['train.py', 'a.py'])
    (tmp_path / 'run' / 'epoch_2.pth').touch()
    return tmp_path / 'run'


@pytest.mark.parametrize('command', OTHERS)
def test_a_run_is_no_result_of_another_command(folder, command):
    with pytest.raises(SystemExit, match='another command, of `train.py a.py`.* give another --work-dir'):
        claim(folder, command)
    claim(folder, ['train.py', 'a.py'])
    (folder / 'epoch_2.pth').unlink()  # not even an unfinished one
    with pytest.raises(SystemExit, match='another command'):
        claim(folder, command)
    claim(folder, ['train.py', 'a.py'])


def test_a_finished_run_is_no_result_of_a_changed_config(folder):
    Path('a.py').write_text('max_epochs = 3\n')
    with pytest.raises(SystemExit, match='with another config_sha256, of `train.py a.py`'):
        claim(folder, ['train.py', 'a.py'])


def test_a_folder_of_the_users_own_is_not_taken(folder):
    (folder / 'command.json').unlink()
    with pytest.raises(SystemExit, match='run holds what no command here has written'):
        claim(folder, ['train.py', 'a.py'])
    assert [path.name for path in folder.iterdir()] == ['epoch_2.pth']


def test_compare_does_not_show_an_old_score_as_new(tmp_path, monkeypatch):
    """Another beta is refused before anything runs, and the first results stay."""
    lines = []

    def run(title, *command):
        lines.append(title)
        if command[0] == 'tools/train.py':
            folder = Path(command[command.index('--work-dir') + 1])
            # As it refuses to write over checkpoints.
            assert '--resume' in command or not (folder / 'epoch_1.pth').exists()
            (folder / 'epoch_1.pth').touch()
            (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
        return 'top1: 50.00' if command[0] == 'tools/knn.py' else 'accuracy/top1: 60.0'

    def call(*options):
        arguments = [CONFIG, '--linear', LINEAR, '--work-dir', str(tmp_path), *options]
        monkeypatch.setattr(sys, 'argv', ['compare.py', *arguments])
        compare.main()

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(compare, 'run', run)
    call()
    assert len(lines) == 5 and '| 50.00 | 60.00 |' in (tmp_path / 'results.md').read_text()
    (tmp_path / 'results.md').write_text('mine')
    with pytest.raises(SystemExit, match='another command'):
        call('--train-options=model.head.beta=0.5')
    assert len(lines) == 5 and (tmp_path / 'results.md').read_text() == 'mine'
    call()
    assert len(lines) == 10
    call('--seeds', '1')  # joins the first seed's results
    rows = (tmp_path / 'results.md').read_text().splitlines()
    assert rows[3] == '| clsa_r18_1xb256_200e_cifar10 | 50.00 ± 0.00 | 60.00 ± 0.00 |'
    assert [row.split(' | ')[0][-6:] for row in rows[4:]] == ['seed 0', 'seed 0', 'seed 1', 'seed 1']
    table, done = (tmp_path / 'results.md').read_text(), len(lines)
    for other in ('--train-options=model.head.beta=0.5', '--linear-options=train_cfg.max_epochs=7'):
        message = 'more than the seed.*average the two as seeds of one training.* give another --work-dir'
        with pytest.raises(SystemExit, match=message):  # nor is another seed of other options a seed of it
            call('--seeds', '2', other)
        assert len(lines) == done and (tmp_path / 'results.md').read_text() == table


def test_compare_does_not_join_seeds_of_a_changed_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = (
        f'train.py a.py --work-dir seed_{seed}/a --cfg-options randomness.seed={seed}'.split()
        for seed in (0, 1)
    )
    Path('a.py').write_text('max_epochs = 2\n')
    claim(Path('seed_0/a'), first)
    Path('a.py').write_text('max_epochs = 3\n')
    with pytest.raises(SystemExit, match='seed_0/a holds .*its config has changed since'):
        compare.refuse_other_seeds(Path('seed_1/a'), second)
    Path('a.py').write_text('max_epochs = 2\n')
    compare.refuse_other_seeds(Path('seed_1/a'), second)


@pytest.mark.parametrize('floors', [('10.00', '10.00'), ('10.00', '20.00')])
def test_each_config_has_its_own_floor(floors, tmp_path, monkeypatch):
    """One row for all where they are equal; without --linear nothing but kNN."""
    moco = CONFIG.replace('clsa', 'mocov2')
    of_config = dict(zip((CONFIG, moco), floors, strict=True))

    def run(title, *command):
        assert command[0] == 'tools/knn.py' or command[1] in of_config, 'no linear evaluation'
        if command[0] == 'tools/train.py':
            (tmp_path / 'seed_0' / Path(command[1]).stem / 'last_checkpoint').write_text('x.pth')
        return f'top1: {of_config[command[1]] if "--random-init" in command else 50}'

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(compare, 'run', run)
    monkeypatch.setattr(sys, 'argv', ['compare.py', CONFIG, moco, '--work-dir', str(tmp_path)])
    compare.main()
    rows = (tmp_path / 'results.md').read_text().splitlines()
    assert rows[0] == '| backbone | kNN |'
    names = [f', {Path(config).stem}' for config in of_config] if floors[0] != floors[1] else ['']
    expected = [f'| random-initialised{name} | {floor} |' for name, floor in zip(names, floors, strict=False)]
    assert rows[2:] == expected + [f'| {Path(config).stem} | 50.00 |' for config in of_config]


def test_compare_refuses_two_configs_of_one_name(tmp_path, monkeypatch):
    arguments = [
        CONFIG,
        f'other/{Path(CONFIG).name}',
        '--linear',
        LINEAR,
        '--work-dir',
        str(tmp_path / 'work'),
    ]
    monkeypatch.setattr(sys, 'argv', ['compare.py', *arguments])
    with pytest.raises(SystemExit, match='configs/.*py and other/.*py have one name.*--work-dir each'):
        compare.main()
    assert not (tmp_path / 'work').exists()


def test_progress_shows_what_matters():
    line = '11/22 14:04 - mmengine - INFO - Epoch(train) [1][30/31]  lr: 1e-3  time: 0.2  loss: 12.3'
    assert progress(line) == 'Epoch(train) [1][30/31]  loss: 12.3'
    assert progress('11/22 - INFO - Hooks will be executed in the following order:') is None


def test_run_shows_progress_and_returns_the_output(tmp_path, capsys):
    """In a process of its own, in the repository's folder; a failure ends everything with what it said."""
    script = tmp_path / 'script.py'
    script.write_text("import os, sys\nprint(os.getcwd())\nprint('wrote x')\nsys.exit(len(sys.argv) - 1)\n")
    assert run('A title', str(script)) == f'{ROOT}\nwrote x\n'
    shown = capsys.readouterr().out
    assert f'== A title\n$ python {script}\n   wrote x\n   done in' in shown and str(ROOT) not in shown
    with pytest.raises(SystemExit, match=rf'wrote x\n\nfailed: python {script} 1'):
        run('A title', str(script), '1')
