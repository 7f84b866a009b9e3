"""model-index.yml and the metafiles list every config, with the numbers that the config has."""

import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from shrunken_configs import all_configs

ROOT = Path(__file__).parents[1]
METAFILES = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
MODELS = [model for path in METAFILES for model in yaml.safe_load((ROOT / path).read_text())['Models']]


def test_every_config_is_listed_once():
    files = [str(Path('configs', name)) for name in all_configs()]
    listed = [model['Config'] for model in MODELS]
    assert sorted(listed) == sorted(files)
    names = [model['Name'] for model in MODELS]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() for name in names)  # mim lower-cases what it is asked for


def test_every_metafile_is_imported_and_lists_its_own_folder():
    files = {str(p.relative_to(ROOT)) for p in (ROOT / 'configs').rglob('metafile.yml')}
    assert sorted(METAFILES) == sorted(files)
    for path in METAFILES:
        for model in yaml.safe_load((ROOT / path).read_text())['Models']:
            assert Path(model['Config']).parent == Path(path).parent


def test_the_library_of_model_indexes_finds_no_fault():
    load_model_index = pytest.importorskip('modelindex.load_model_index')
    index = load_model_index.load(str(ROOT / 'model-index.yml'))
    assert index.check(silent=True) == []
    assert {model.in_collection for model in index.models} == {c.name for c in index.collections}
    assert len(index.models) == len(MODELS)


@pytest.mark.parametrize('model', MODELS, ids=lambda model: model['Name'])
def test_schedule_and_batch_are_the_config_s(model):
    cfg = Config.fromfile(ROOT / model['Config'])
    metadata = model['Metadata']
    if cfg.train_cfg.get('max_epochs'):
        assert metadata['Epochs'] == cfg.train_cfg.max_epochs
    else:
        assert metadata['Iterations'] == cfg.train_cfg.max_iters
    layout = re.search(r'_(\d+)xb(\d+)', model['Name'])
    gpus = int(layout[1]) if layout else 1
    steps = cfg.optim_wrapper.get('accumulative_counts', 1)
    assert metadata['Batch Size'] == gpus * cfg.train_dataloader.batch_size * steps


def test_every_figure_says_whose_it_is():
    sources = {'paper': 0, 'ours': 0}
    for model in MODELS:
        for result in model['Results'] or []:
            for name, value in result['Metrics'].items():
                sources[re.fullmatch(r'.+ \((paper|ours)\)', name)[1]] += 1
                assert isinstance(value, (int, float))
    assert all(sources.values())


def test_our_figures_are_those_of_the_page_of_results():
    page = (ROOT / 'docs/results.md').read_text()
    metrics = [result['Metrics'] for model in MODELS for result in model['Results'] or []]
    ours = [value for each in metrics for name, value in each.items() if name.endswith('(ours)')]
    assert ours and all(re.search(rf'(?<![\d.]){value}(?!\d|\.\d)', page) for value in ours), ours


def test_figures_of_the_authors():
    """arXiv 2104.07713: CLSA on ImageNet after 100 to 800 epochs, ablations, and the transfer of Table 3."""
    metrics = {model['Name']: result['Metrics'] for model in MODELS for result in model['Results'] or []}
    top1 = [metrics[f'clsa_r50_8xb32_{epochs}e']['Top 1 Accuracy (paper)'] for epochs in (100, 150, 200, 800)]
    assert top1 == [67.2, 68.3, 69.4, 72.2]
    multi = [metrics[f'clsa-multi_r50_8xb32_{epochs}e']['Top 1 Accuracy (paper)'] for epochs in (200, 800)]
    assert multi == [73.3, 76.2]
    ablations = ('mocov2-strong-query', 'mocov2-strong-query-key', 'clsa-contrastive')  # Table 4
    top1 = [metrics[f'{name}_r50_8xb32_200e']['Top 1 Accuracy (paper)'] for name in ablations]
    assert top1 == [67.7, 67.0, 68.0]
    assert metrics['mocov2_r50_8xb32_200e'] == {'Top 1 Accuracy (paper)': 67.5}
    assert metrics['linear_r50_1xb256_100e_voc07'] == {'Per Image AP (paper)': 93.6}
    assert metrics['faster-rcnn_r50-c4_8xb2-24k_voc0712'] == {'AP50 (paper)': 83.2}
    assert metrics['mask-rcnn_r50-c4_8xb2-2x_coco'] == {'AP (paper)': 42.3, 'APS (paper)': 24.4}
