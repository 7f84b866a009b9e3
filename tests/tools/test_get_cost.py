"""The tool prints one row for each config, as Markdown."""

from pathlib import Path

from child_process import run_tool

CONFIGS = ['embedded/clsa_r18_1xb64_24e_embedded', 'cifar10/mocov2_r18_1xb256_200e_cifar10']


def call(*arguments: str) -> list[list[str]]:
    done = run_tool('tools/analysis_tools/get_cost.py', *arguments)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith('|')]
    return [[column.strip() for column in row.strip('|').split('|')] for row in rows]


def test_a_row_for_each_config_with_its_ratio_to_moco_v2():
    head, line, *rows = call(*(f'configs/{name}.py' for name in CONFIGS))
    assert head == ['config', 'forward', 'forward and backward', 'GFLOPs', 'of MoCo v2'] and len(line) == 5
    assert [row[0] for row in rows] == [Path(name).name for name in CONFIGS]
    assert [row[1:3] for row in rows] == [['48', '48 32'], ['32', '32']]
    assert rows[1][4] == '1.00'
    # MoCo v2's step is 4 forwards, a view of 32 pixels 3 forwards of (32 / 48) ** 2 their cost.
    assert abs(float(rows[0][4]) - (4 + 3 * (32 / 48) ** 2) / 4) < 0.06


def test_options_change_the_cost():
    option = 'train_dataloader.dataset.views.strong.num_views=0'
    _, _, row = call(f'configs/{CONFIGS[0]}.py', '--cfg-options', option)
    assert row[2] == '48' and row[4] == '1.00'
