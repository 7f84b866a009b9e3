"""The site builds without a warning, and every command in it and in the README runs."""

import configparser
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from annotated_images import write_voc
from child_process import run_in_child, run_tool
from doc_commands import ROOT, Snippet, blocks, commands
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.visualization import LocalVisBackend
from published_data import dtd, food101, text
from shrunken_configs import all_configs, shrink
from sphinx.cmd.build import main as sphinx

from clsa_mm.datasets.embedded import generate_coco, generate_imagenet, generate_voc
from clsa_mm.engine.settings import load_config

TUTORIAL = 'docs/tutorial.md'  # which test_tutorial.py follows
COMMANDS = list({snippet.text: snippet for snippet in commands() if snippet.page != TUTORIAL}.values())
TOOLS = [
    snippet
    for snippet in COMMANDS
    if snippet.words[0] == 'mim' or any(word.startswith('tools/') for word in snippet.words[:2])
]
# Measurements of hours, or of a machine: their arguments are checked, and tests of their own run them.
MEASUREMENTS = ('tools/benchmarks/', 'tools/demo.py', 'tools/pretrain.py')
PAGES_OF_MEASUREMENTS = ('docs/results.md', 'docs/figures.md', 'docs/model_card.md')
PLACEHOLDERS = {
    '/path/to/photographs': 'data/imagenet/train',
    'hours=8': 'dry_run=True',
    'work_dirs/bccd/config.py': 'configs/clsa_r50_8xb32_200e.py',
    'my_knn.py': 'configs/cifar10/clsa_r18_1xb256_200e_cifar10.py',
    # The other one is in use.
    'make_embedded_data.py data/embedded': 'make_embedded_data.py data/new --num-train 20 --num-val 10',
    'make_embedded_data data/embedded': 'make_embedded_data data/newer --num-train 20 --num-val 10',
}


@pytest.fixture(scope='session')
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder in which the commands find data, checkpoints, and configs of their names."""
    root = tmp_path_factory.mktemp('world')
    data = root / 'data'
    generate_imagenet(data, 20, 10, progress=False)
    generate_voc(data, 40, 40, 20, image_size=64, progress=False)  # an SVM needs three of each class
    generate_coco(data, 6, 4, image_size=96, progress=False)
    cell = {name: [('RBC', 0, (10, 10, 40, 40))] for name in ('a', 'b')}
    write_voc(data / 'bccd', trainval=cell, test=cell)
    for name, write in (('food-101', food101), ('dtd', dtd)):
        write(data / name)
    _write_subset(data / 'imagenet')
    (data / 'embedded').symlink_to(data)
    (data / 'cifar10').mkdir()
    (data / 'cifar10/train').symlink_to(data / 'imagenet/train')
    (data / 'cifar10/test').symlink_to(data / 'imagenet/val')
    shutil.copy(next((data / 'imagenet/val').rglob('*.JPEG')), root / 'photo.jpg')
    for name in ('tools', 'clsa_mm', 'requirements'):
        (root / name).symlink_to(ROOT / name)
    for name in all_configs():
        path = root / 'configs' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shrink(Config.fromfile(ROOT / 'configs' / name)).dump(path)
    for snippet in [*COMMANDS, *blocks('python')]:
        if snippet.page in (*PAGES_OF_MEASUREMENTS, TUTORIAL):
            continue
        for word in re.findall(r'work_dirs/[\w/-]+/\w+\.pth', snippet.text):
            _write_checkpoint(root, Path(word))
        for word in re.findall(r'(?:report\.py|write_report\()(.*)', snippet.text):
            for work_dir in re.findall(r'work_dirs/\w+', word):
                _write_log(root / work_dir)
    return root


def _write_subset(imagenet: Path) -> None:
    """A list like SimCLR's, of images named after their class."""
    names = []
    for folder in sorted((imagenet / 'train').iterdir()):
        image = folder / f'{folder.name}_1.JPEG'
        image.symlink_to(next(folder.glob('*.JPEG')))
        names.append(image.name)
    text(imagenet / 'meta/1percent.txt', names)


def _write_log(work_dir: Path) -> None:
    """The figures of a training."""
    backend = LocalVisBackend(save_dir=str(work_dir / '20260101_000000' / 'vis_data'))
    backend.add_scalars(dict(loss_contrastive=2.0, chance_level=4.0), step=1)


def _write_checkpoint(root: Path, path: Path) -> None:
    """What a training by the config that the folder is named after would leave there."""
    if (root / path).exists():
        return
    config = root / 'configs' / path.parent.relative_to('work_dirs')
    cfg = Config.fromfile(config.with_suffix('.py'))
    init_default_scope(cfg.default_scope)
    state = MODELS.build(cfg.model).state_dict()
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=state, meta=dict(cfg=cfg.pretty_text)), root / path)


def _run(words: list[str], world: Path, only_parse: bool) -> None:
    words = _without_mim(words, world) if words[0] == 'mim' else words
    script, *arguments = words[1:] if words[0] == 'python' else words
    if script.endswith('.sh'):
        assert os.access(ROOT / script, os.X_OK)
        script, arguments = _without_launcher(script, arguments)
    if script == 'tools/train.py' and '--work-dir' not in arguments:  # where no other command has trained
        arguments += ['--work-dir', tempfile.mkdtemp(dir=world)]

    def parse() -> None:
        sys.argv = [script, *arguments]
        sys.path.insert(0, str(Path(script).parent.resolve()))
        tool = runpy.run_path(script)
        parsed = tool['parse_args']()
        if 'load_config' in tool:
            tool['load_config'](parsed.config, parsed.cfg_options)

    only_parse = only_parse or script.startswith(MEASUREMENTS)
    done = run_in_child(parse, world) if only_parse else run_tool(script, *arguments, cwd=world)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def _without_mim(words: list[str], world: Path) -> list[str]:
    """What mim would run: it looks tools and configs up by their file names. test_mim.py runs mim itself."""
    _, command, package, name, *rest = words
    assert package == 'clsa_mm'
    if command == 'run':
        (tool,) = (ROOT / 'tools').rglob(f'{name}.py')
        return [str(tool.relative_to(ROOT)), *rest]
    (config,) = (str(path.relative_to(world)) for path in (world / 'configs').rglob(name))
    if '--gpus' in rest:
        del rest[rest.index('--gpus') : rest.index('--gpus') + 2]
    if command == 'test':
        rest[rest.index('--checkpoint') : rest.index('--checkpoint') + 1] = []
    return [f'tools/{command}.py', config, *rest]


def _without_launcher(script: str, arguments: list[str]) -> tuple[str, list[str]]:
    """What the launcher's script would run in each process."""
    name = Path(script).name
    if name == 'dist_train.sh':
        config, gpus, *rest = arguments
        assert gpus.isdigit()
        return 'tools/train.py', [config, *rest]
    if name == 'dist_train_det.sh':
        config, checkpoint, gpus, *rest = arguments
        assert gpus.isdigit()
        return 'tools/train.py', [config, '--backbone', checkpoint, *rest]
    assert name == 'dist_test.sh', f'say here what {script} runs'
    config, checkpoint, gpus, *rest = arguments
    assert gpus.isdigit()
    return 'tools/test.py', [config, checkpoint, *rest]


@pytest.mark.parametrize('snippet', TOOLS, ids=str)
def test_command_runs(snippet: Snippet, world: Path) -> None:
    words = Snippet(snippet.page, snippet.line, _filled(snippet.text)).words
    _run(words, world, snippet.page in PAGES_OF_MEASUREMENTS)


def _filled(text: str) -> str:
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    return text


@pytest.mark.parametrize('snippet', [s for s in COMMANDS if s not in TOOLS], ids=str)
def test_command_around_the_tools_exists(snippet: Snippet) -> None:
    words = snippet.words
    if words[0] == 'make':
        subprocess.run(['make', '--dry-run', *words[1:]], cwd=ROOT, check=True, capture_output=True)
    elif words[:2] == ['pip', 'install']:
        setup = configparser.ConfigParser()
        setup.read(ROOT / 'setup.cfg')
        for extras in re.findall(r'\[([\w,]+)\]', snippet.text):
            assert set(extras.split(',')) <= set(setup['options.extras_require'])
        for name in re.findall(r'requirements/\S+', snippet.text):
            assert (ROOT / name).is_file()
    elif words[:3] == ['python', '-m', 'clsa_mm']:
        done = run_in_child(lambda: runpy.run_module('clsa_mm', run_name='__main__'))
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        assert words[0] in (
            'source',
            'cd',
            'git',
            'mkdir',
            'sed',
            'tar',
            'unzip',
            'mim',
            'tensorboard',
            'mlflow',
        )


# The examples of docs/extending.md are files: test_extending.py runs them.
PYTHON = [snippet for snippet in blocks('python') if snippet.page not in ('docs/extending.md', TUTORIAL)]


@pytest.mark.parametrize('snippet', PYTHON, ids=str)
def test_python_runs(snippet: Snippet, world: Path) -> None:
    def run() -> None:
        if '_base_' in snippet.text:
            path = world / 'configs' / f'own_{snippet.line}.py'
            path.write_text(snippet.text)
            cfg = load_config(path)
            init_default_scope(cfg.default_scope)
            MODELS.build(cfg.model)
        else:
            exec(compile(_filled(snippet.text), str(snippet), 'exec'), {})

    done = run_in_child(run, world)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow  # Sphinx reads every page and module
def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    arguments = ['-q', '-W', '--keep-going', '-b', 'html', 'docs', str(tmp_path)]
    done = run_in_child(lambda: sys.exit(sphinx(arguments)))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'api/models.html').read_text().count('loss_contrastive')
    scripts = re.findall(r'<script[^>]*? src="([^"]*)"', (tmp_path / 'algorithm.html').read_text())
    mathjax = [tmp_path / script.split('?')[0] for script in scripts if 'mathjax' in script]
    assert len(mathjax) == 1 and mathjax[0].is_file()  # formulas need no network
    assert not any('//' in script for script in scripts)
