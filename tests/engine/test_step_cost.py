"""The cost of a step against a hand-written stack of convolutions, mmengine's counter and the configs."""

import functools
import re
from pathlib import Path

import pytest
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from shrunken_configs import all_configs

from clsa_mm.datasets.views import build_views
from clsa_mm.engine.step_cost import Pass, StepCost, epochs_at_equal_compute, moco_v2_of, step_cost

ROOT = Path(__file__).parents[2]
PROJECTION = 2048 * 2048 + 2048 * 128
KEYS = 65536 + 1  # the queue, and the key of the one image


@functools.cache
def cost_of(name: str) -> StepCost:
    return step_cost(Config.fromfile(ROOT / 'configs' / f'{name}.py'))


def resnet50_macs(size: int) -> tuple[int, int]:
    """Multiplications of ResNet-50's convolutions (He et al. 2016, Table 1): of the first, of the others."""
    side = (size + 1) // 2
    stem = 3 * 64 * 7 * 7 * side**2
    side, others, channels = (side + 1) // 2, 0, 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        for block in range(blocks):
            after = (side + 1) // 2 if stage and not block else side  # the 3x3 convolution has the stride
            others += side**2 * channels * width + after**2 * (9 * width * width + width * 4 * width)
            others += after**2 * channels * 4 * width * (not block)  # the shortcut's convolution
            side, channels = after, 4 * width
    return stem, others


def forward(size: int) -> int:
    return 2 * (sum(resnet50_macs(size)) + PROJECTION)


def forward_and_backward(size: int) -> int:
    """Each product has a gradient in its weights and one in its input, which the image does not need."""
    stem, others = resnet50_macs(size)
    return 2 * (2 * stem + 3 * others + 3 * PROJECTION)


def attention() -> int:
    """Similarities of a query to all keys, and their weighted mean."""
    return 2 * 2 * 128 * KEYS


def test_hand_count_is_resnet_50s():
    assert sum(resnet50_macs(224)) / 1e9 == pytest.approx(4.09, abs=0.01)  # usually given as 4.1 G


def test_clsa_single_equals_the_hand_count():
    cost = cost_of('clsa_r50_8xb32_200e')
    assert sorted(cost.passes) == [Pass(96, True), Pass(224, False), Pass(224, True)]
    expected = forward(224) + forward_and_backward(224) + forward_and_backward(96) + 2 * attention()
    assert cost.flops == expected


def test_symmetric_clsa_equals_the_hand_count():
    """Both 224-pixel views go through both encoders; the strong view's query meets two banks."""
    cost = cost_of('ablations/clsa-symmetric_r50_8xb32_200e')
    assert cost.sizes(backward=False) == [224, 224] and sorted(cost.sizes(backward=True)) == [96, 224, 224]
    expected = 2 * forward(224) + 2 * forward_and_backward(224) + forward_and_backward(96) + 4 * attention()
    assert cost.flops == expected


def test_the_baseline_is_moco_v2_with_the_same_backbone():
    baseline = cost_of('mocov2_r50_8xb32_200e')
    assert baseline.flops == forward(224) + forward_and_backward(224) + attention()
    clsa = Config.fromfile(ROOT / 'configs/clsa_r50_8xb32_200e.py')
    assert step_cost(moco_v2_of(clsa)) == baseline
    cifar = moco_v2_of(Config.fromfile(ROOT / 'configs/cifar10/clsa_r18_1xb256_200e_cifar10.py'))
    assert cifar.model.backbone.type == 'ResNet_CIFAR' and cifar.model.queue_len == 4096
    assert cifar.train_dataloader.dataset.views.weak.size == 32


def test_the_papers_hours_are_those_of_one_weak_view():
    """53 h, 70 h and 166 h in section 4 and its tables; the official command's ten views would take 232 h."""
    baseline = cost_of('mocov2_r50_8xb32_200e').flops
    single, multi = (cost_of(f'{name}_r50_8xb32_200e').flops for name in ('clsa', 'clsa-multi'))
    sizes = (224, 192, 160, 128, 96)
    official = forward(224) + 2 * sum(map(forward_and_backward, sizes)) + 10 * attention()
    assert multi == baseline + sum(map(forward_and_backward, sizes)) + 5 * attention()
    assert 53 * single / baseline == pytest.approx(70, rel=0.15)
    assert 53 * multi / baseline == pytest.approx(166, rel=0.03)
    assert 53 * official / baseline == pytest.approx(232, abs=0.5)


def test_the_table_of_the_docs():
    """Every row against the hand count for its config's views; all pretraining of CLSA's page is there."""
    page = (ROOT / 'docs/methods/clsa.md').read_text()
    rows = re.findall(r'^\| `([\w/-]+)` \| ([\d ]+) \| ([\d ]+) \| ([\d.]+) \| ([\d.]+) \|', page, re.M)
    listed = [f'configs/{row[0]}.py' for row in rows]
    configs = [*(ROOT / 'configs').glob('*.py'), *(ROOT / 'configs/ablations').glob('*.py')]
    lengths = re.compile(r'equal-compute|_(100|150|800)e')  # the same step for longer or shorter
    assert sorted(listed) == sorted(
        str(path.relative_to(ROOT)) for path in configs if not lengths.search(path.name)
    )
    for name, forwards, trained, gflops, ratio in rows:
        cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
        views = build_views(cfg.train_dataloader.dataset.views)
        keys, queries = (
            [view.size for view in views if (view.role == 'key') == key] for key in (True, False)
        )
        if cfg.model.get('symmetric'):
            keys, queries = keys + queries[:1], queries + keys
        assert sorted(map(int, forwards.split())) == sorted(keys)
        assert sorted(map(int, trained.split())) == sorted(queries)
        flops = sum(map(forward, keys)) + sum(map(forward_and_backward, queries))
        assert float(gflops) == pytest.approx(flops / 1e9, rel=0.005)  # without attention over the bank
        assert float(ratio) == pytest.approx(float(gflops) / 32.53, abs=0.006)


def test_the_page_of_all_configs():
    """Each has one row, with its own views in it."""
    page = (ROOT / 'docs/methods/all_configs.md').read_text()
    listed = {}
    for section in page.split('\n## ')[1:]:
        folder = re.match(r'`(configs/[\w/]*)`', section).group(1)
        for names, forwards, trained in re.findall(
            r'^\| (`.*`) \| ([\dx -]+) \| ([\dx ]+) \|', section, re.M
        ):
            for name in re.findall(r'`([\w-]+)`', names):
                path = str(Path(folder, f'{name}.py'))
                assert path not in listed
                listed[path] = sorted(sizes_of(forwards) + sizes_of(trained))
    configs = [str(Path('configs', name)) for name in all_configs()]
    expected = [name for name in configs if not re.search('/(benchmarks|baselines)/', name)]
    assert sorted(listed) == sorted(expected)
    for path, sizes in listed.items():
        cfg = Config.fromfile(ROOT / path)
        views = [view.size for view in build_views(cfg.train_dataloader.dataset.views)]
        assert set(sizes) == set(views)
        # Two networks see each view of BYOL and of a symmetric loss; Un-Mix adds mixtures.
        further = cfg.model.type in ('BYOL', 'BYOLWithDDM', 'UnMix') or cfg.model.get('symmetric')
        assert (len(sizes) > len(views)) == bool(further)


def sizes_of(column: str) -> list[int]:
    """``2 x 224 96`` -> [224, 224, 96]."""
    return [
        int(size)
        for number, size in re.findall(r'(?:(\d+) x )?(\d+)', column)
        for _ in range(int(number or 1))
    ]


def test_mmengine_counts_the_forward_alike():
    """On a ResNet-18 with the CIFAR stem; mmengine counts multiplications, and adds normalisation."""
    cfg = Config.fromfile(ROOT / 'configs/cifar10/mocov2_r18_1xb256_200e_cifar10.py')
    init_default_scope(cfg.default_scope)
    backbone = MODELS.build(cfg.model.backbone)
    counted = get_model_complexity_info(backbone, (3, 32, 32), show_table=False, show_arch=False)
    step = step_cost(cfg)
    # The stem's input gradient (3 x 64 x 9 on 32 x 32 pixels) is not needed; the rest is small.
    expected = 2 * (4 * counted['flops'] - 3 * 64 * 9 * 32**2)
    assert step.flops == pytest.approx(expected, rel=0.01)
    assert step.passes == (Pass(32, True), Pass(32, False))


@pytest.mark.parametrize('budget', [200, 1000])
def test_configs_of_equal_compute_follow_from_the_cost(budget):
    """As many operations as MoCo v2 in its 200 epochs, and in the 1000 that the reviews ask for."""
    names = {('clsa', 200): 176, ('clsa', 1000): 878, ('clsa-multi', 200): 65, ('clsa-multi', 1000): 326}
    baseline = cost_of('mocov2_r50_8xb32_200e')
    for method in ('clsa', 'clsa-multi'):
        epochs = names[method, budget]
        name = f'{method}-equal-compute_r50_8xb32_{epochs}e.py'
        cfg = Config.fromfile(ROOT / 'configs/ablations' / name)
        cost = cost_of(f'{method}_r50_8xb32_200e')
        assert cfg.model == Config.fromfile(ROOT / f'configs/{method}_r50_8xb32_200e.py').model
        assert cfg.train_cfg.max_epochs == epochs == epochs_at_equal_compute(budget, baseline, cost)
        # Within half an epoch of the budget.
        assert abs(epochs * cost.flops - budget * baseline.flops) <= cost.flops / 2


@pytest.mark.parametrize(('name', 'macs'), [('convnext-tiny', 4.46e9), ('timm-efficientnet-b0', 0.39e9)])
def test_convolutions_in_groups(name, macs):
    """Multiplications as the networks' papers give them; a step of MoCo v2 takes four times these."""
    baseline = moco_v2_of(Config.fromfile(ROOT / f'configs/backbones/clsa_{name}_8xb32_200e.py'))
    assert step_cost(baseline).flops == pytest.approx(4 * 2 * macs, rel=0.03)


def test_a_config_without_views_is_refused():
    cfg = Config.fromfile(ROOT / 'configs/benchmarks/classification/linear_r50_8xb32_100e_imagenet.py')
    for count in (step_cost, moco_v2_of):
        with pytest.raises(ValueError, match='dataset has no views.*take a pretraining config such as'):
            count(cfg)


@pytest.mark.parametrize(
    ('name', 'forwards', 'trained', 'ratio'),
    [
        # A backward is two forwards: MoCo v2 has four in all, SimCLR six.
        ('cifar10/simclr_r18_1xb256_200e_cifar10', [], [32, 32], 6 / 4),
        ('supcon/supcon_r18_1xb256_200e_cifar10', [], [32, 32], 6 / 4),
        ('supcon/xent_r18_1xb256_200e_cifar10', [], [32, 32], 6 / 4),
    ],
)
def test_algorithms_without_views_by_role(name, forwards, trained, ratio):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    cost, baseline = step_cost(cfg), step_cost(moco_v2_of(cfg))
    assert (cost.sizes(False), cost.sizes(True)) == (forwards, trained)
    # The stem needs no gradient of its input, of which MoCo v2 has one, SimCLR two.
    assert cost.flops / baseline.flops == pytest.approx(ratio, rel=0.01)
