"""What a wheel holds, and what mim does with it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINEAR = 'linear_r18_1xb256_100e_cifar10'
pytest.importorskip('mim')


def build(what, source, out):
    code = f'import setuptools.build_meta as b; print(b.build_{what}({str(out)!r}))'
    done = subprocess.run([sys.executable, '-c', code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return out / done.stdout.split()[-1]


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """An unpacked sdist made from a copy of the checkout, and the wheel made from that sdist."""
    folder = tmp_path_factory.mktemp('built')
    ignored = shutil.ignore_patterns(
        '.git',
        '.venv',
        '*.egg-info',
        'build',
        'dist',
        'work_dirs',
        'data',
        'shared',
        '__pycache__',
        '.*_cache',
    )
    shutil.copytree(ROOT, folder / 'checkout', ignore=ignored, symlinks=True)
    sdist = build('sdist', folder / 'checkout', folder)
    with tarfile.open(sdist) as file:
        file.extractall(folder, filter='data')
    source = folder / sdist.name.removesuffix('.tar.gz')
    return source, build('wheel', source, folder)


@pytest.fixture(scope='module')
def site(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp('site')
    pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index', '--target', folder]
    subprocess.run([*pip, built[1]], check=True)
    return folder


def mim(*arguments, site=None, cwd):
    path = {'PYTHONPATH': str(site)} if site else {}
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    return subprocess.run(
        [sys.executable, '-m', 'mim', *map(str, arguments)],
        env={**environment, **path, 'OMP_NUM_THREADS': '1', 'PAGER': 'cat'},
        cwd=cwd,
        capture_output=True,
        text=True,
    )


def files_of(folder):
    return {
        str(path.relative_to(folder.parent)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def test_sdist_holds_the_checkout(built):
    files = [f'{folder}/**/*' for folder in ('clsa_mm', 'configs', 'docs', 'requirements', 'tests', 'tools')]
    names = {str(p.relative_to(ROOT)) for pattern in files for p in ROOT.glob(pattern) if p.is_file()}
    names = {name for name in names if not re.search(r'__pycache__|docs/_build|/\.mim/', name)}
    names |= {'.ci/run', 'LICENSE', 'Makefile', 'README.md', 'model-index.yml', 'pyproject.toml', 'setup.cfg'}
    assert {name for name in names if not (built[0] / name).is_file()} == set()
    assert len(names) > 100


def test_wheel_holds_configs_tools_and_index_and_no_tests(built):
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
        modes = {info.filename: info.external_attr >> 16 for info in wheel.infolist()}
        expected = {'model-index.yml': (ROOT / 'model-index.yml').read_bytes()}
        for folder in ('configs', 'tools'):
            expected.update(files_of(ROOT / folder))
        # In the package, and where onedl-mim looks.
        for root in (
            'clsa_mm/.mim/',
            next(name for name in names if '.dist-info/.mim/' in name).split('.mim/')[0] + '.mim/',
        ):
            found = {name.removeprefix(root): wheel.read(name) for name in names if name.startswith(root)}
            assert found == expected
            assert modes[f'{root}tools/dist_train.sh'] & 0o111
    package = {name for name in names if name.startswith('clsa_mm/') and '/.mim/' not in name}
    assert package == {
        str(p.relative_to(ROOT)) for p in (ROOT / 'clsa_mm').rglob('*.py') if '.mim' not in p.parts
    }
    assert {name.split('/')[0].split('-')[0] for name in names} == {'clsa_mm'}


def test_nothing_of_an_earlier_build_stays(built, tmp_path):
    source = shutil.copytree(built[0], tmp_path / 'source')
    (source / 'configs/clsa_r50_8xb32_800e.py').unlink()
    with zipfile.ZipFile(build('wheel', source, tmp_path)) as wheel:
        assert [name for name in wheel.namelist() if 'clsa_r50_8xb32_800e' in name] == []
        assert len([name for name in wheel.namelist() if name.endswith('/clsa_r50_8xb32_200e.py')]) >= 2
    assert not (source / 'clsa_mm/.mim').exists()  # nothing is copied into the sources


def test_editable_wheel_copies_nothing(built, tmp_path):
    source = shutil.copytree(built[0], tmp_path / 'source', ignore=shutil.ignore_patterns('build'))
    with zipfile.ZipFile(build('editable', source, tmp_path)) as wheel:
        assert [name for name in wheel.namelist() if '.mim' in name] == []
    assert not (source / 'clsa_mm/.mim').exists()


def test_a_config_anywhere_inherits_from_the_wheel_s(site, tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = 'clsa_mm::cifar10/clsa_r18_1xb256_200e_cifar10.py'\nmodel = dict(bank='own')\n"
    )
    tool = site / 'clsa_mm/.mim/tools/misc/print_config.py'
    done = subprocess.run(
        [sys.executable, tool, 'mine.py', '--diff', '--cfg-options', 'train_cfg.max_epochs=3'],
        env={**os.environ, 'PYTHONPATH': str(site), 'OMP_NUM_THREADS': '1'},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    changes = [line for line in done.stdout.splitlines() if line[:2] in ('- ', '+ ')]
    assert changes == [
        "- model.bank = 'batch'",
        "+ model.bank = 'own'",
        '- train_cfg.max_epochs = 200',
        '+ train_cfg.max_epochs = 3',
    ]


def test_mim_search(site, tmp_path):
    done = mim('search', 'clsa_mm', '--json', 'index.json', site=site, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    index = json.loads((tmp_path / 'index.json').read_text())
    assert index['config']['clsa_r50_8xb32_200e'] == 'configs/clsa_r50_8xb32_200e.py'
    assert index['imagenet-1k/top_1_accuracy_(paper)']['clsa_r50_8xb32_200e'] == 69.4
    assert index['epochs']['clsa_r50_8xb32_800e'] == 800
    assert index['paper']['mocov2_r50_8xb32_200e'] == 'https://arxiv.org/abs/2003.04297'
    for config in index['config'].values():
        assert (site / 'clsa_mm/.mim' / config).is_file()


@pytest.mark.slow  # four processes that import everything
def test_mim_train_and_test(site, image_root, tmp_path):
    """By the config's name alone, in a folder that is not the checkout."""
    options = [
        'model.backbone.base_channels=8',
        'model.backbone.stem_channels=8',
        'model.head.in_channels=64',
    ]
    options += [f'train_dataloader.dataset.data_root={image_root}']
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        options += [f'{loader}.num_workers=0', f'{loader}.batch_size=16']
    done = mim('train', 'clsa_mm', f'{LINEAR}.py', '--gpus', 0, '--work-dir', 'work',
               '--cfg-options', 'train_cfg.max_epochs=1', *options, site=site, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'Training finished successfully' in done.stdout
    command = re.search(r'Training command is \S+ (\S+) (\S+) --launcher none', done.stdout)
    assert all(Path(path).is_relative_to(site) for path in command.groups())
    trained = re.search(r'accuracy/top1: ([\d.]+)', done.stdout + done.stderr)[1]

    done = mim('test', 'clsa_mm', f'{LINEAR}.py', '--checkpoint', 'work/epoch_1.pth', '--work-dir', 'test',
               '--out', 'out.json', '--cfg-options', *options, site=site, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / 'out.json').read_text())['accuracy/top1'] == pytest.approx(
        float(trained), abs=1e-3
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ['out.json', 'test', 'work']


def test_mim_in_an_editable_install(tmp_path):
    """What `make install` makes: mim takes configs, tools and index from the checkout's root."""
    done = mim('search', 'clsa_mm', '--config', 'mocov2_r50_8xb32_200e', '--field', 'config', cwd=tmp_path)
    if 'is not installed' in done.stderr + done.stdout:
        pytest.skip('clsa_mm is not installed here')
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'configs/mocov2_r50_8xb32_200e.py' in done.stdout
