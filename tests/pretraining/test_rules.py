"""The rules that choose a recipe, against the papers' numbers and hand values; the configs they become."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from clsa_mm.engine.config_bases import config_folder
from clsa_mm.engine.settings import load_config
from clsa_mm.pretraining.config_file import config_text, nested
from clsa_mm.pretraining.folder import FolderFacts
from clsa_mm.pretraining.machine import MachineFacts
from clsa_mm.pretraining.networks import Network, find_network
from clsa_mm.pretraining.rules import METHODS, batch_size, choose, usual_epochs, view_sizes

LAPTOP = MachineFacts(0, '', 0.0, False, cores=2, memory_gib=24.0)
EIGHT_GPUS = MachineFacts(8, 'NVIDIA V100', 32.0, False, cores=64, memory_gib=500.0)
ONE_GPU = MachineFacts(1, 'NVIDIA H100', 80.0, True, cores=16, memory_gib=128.0)
RESNET50 = Network('resnet50', dict(type='ResNet', depth=50), 2048, False, True, True)


def facts(images: int, short_side: int = 375) -> FolderFacts:
    return FolderFacts(Path('photographs'), images, min(images, 2000), {}, short_side, short_side, 500, 0)


def chosen(
    method: str,
    data: FolderFacts,
    machine: MachineFacts,
    epochs: int,
    network: Network = RESNET50,
    init: str | None = None,
) -> dict[str, object]:
    base = load_config(Path(config_folder(), METHODS[method]))
    decisions = choose(method, data, machine, network, epochs, base, batch_size(data, machine), init)
    assert all(decision.why for decision in decisions)
    names = [decision.name for decision in decisions]
    assert len(names) == len(set(names))
    return {decision.name: decision.value for decision in decisions}


def test_imagenet_on_eight_gpus_gets_the_papers_recipe():
    data = facts(1_281_167)
    found = chosen('clsa', data, EIGHT_GPUS, epochs=200)
    assert found['train_dataloader.batch_size'] == 32
    assert found['model.queue_len'] == 65536
    assert found['optim_wrapper.optimizer.lr'] == pytest.approx(0.03)
    assert found['train_cfg.max_epochs'] == 200
    # 224 and 96 pixels, SGD, temperature 0.2, momentum 0.999 are left as the config has them.
    untouched = ('views', 'model.momentum', 'temperature', 'optimizer.type')
    assert not [name for name in found if any(part in name for part in untouched)]
    assert usual_epochs(data, 256) == 200


def test_cifar10_on_one_gpu_gets_the_cifar_recipe():
    data = facts(50_000, short_side=32)
    network = find_network('resnet18', 32, 24, small_stem=True, narrow=False)
    found = chosen('clsa', data, ONE_GPU, epochs=200, network=network)
    cifar = load_config(Path(config_folder(), 'cifar10/clsa_r18_1xb256_200e_cifar10.py'))
    views = cifar.train_dataloader.dataset.views
    assert found['model.queue_len'] == cifar.model.queue_len == 4096
    assert found['model.momentum'] == cifar.model.momentum == 0.99
    assert found['optim_wrapper.optimizer.lr'] == pytest.approx(cifar.optim_wrapper.optimizer.lr)
    assert found['train_dataloader.batch_size'] == cifar.train_dataloader.batch_size
    assert found['model.backbone']['type'] == cifar.model.backbone.type
    for role in ('key', 'weak', 'strong'):
        assert found[f'train_dataloader.dataset.views.{role}.size'] == views[role].size
    assert found['train_dataloader.dataset.views.strong.area'] == tuple(views.strong.area)
    assert found['optim_wrapper.dtype'] == 'bfloat16'


def test_a_short_run_gets_the_demos_recipe():
    found = chosen('clsa', facts(2000, short_side=64), LAPTOP, epochs=24)  # 744 steps
    assert found['optim_wrapper.optimizer'] == dict(_delete_=True, type='Adam', lr=1e-3, weight_decay=1e-4)
    assert found['model.head.temperature'] == found['model.head.ddm_temperature'] == 0.1
    assert found['model.queue_len'] == 64
    assert found['model.momentum'] == 0.99


@pytest.mark.parametrize(
    ('images', 'machine', 'batch', 'epochs'),
    [
        (292, LAPTOP, 64, 1000),  # 4 steps an epoch: 10,000 epochs would make 40,000 steps, 1000 are the most
        (200, LAPTOP, 32, 1000),
        (40, LAPTOP, 8, 1000),
        (50_000, LAPTOP, 64, 200),  # 781 steps: 51 epochs would do, 200 are the fewest
        (20_000, ONE_GPU, 256, 513),  # 78 steps: 40,000 / 78
        (1_281_167, EIGHT_GPUS, 256, 200),
    ],
)
def test_batch_and_length(images, machine, batch, epochs):
    assert batch_size(facts(images), machine) == batch
    assert usual_epochs(facts(images), batch) == epochs


@pytest.mark.parametrize(
    ('short_side', 'machine', 'weak', 'strong'),
    [
        (375, EIGHT_GPUS, 224, 96),
        (375, LAPTOP, 64, 48),
        (96, ONE_GPU, 96, 72),
        (160, ONE_GPU, 160, 72),  # 160 x 96 / 224 = 68.6, to a multiple of 8
        (20, ONE_GPU, 32, 24),
    ],
)
def test_sizes_of_views(short_side, machine, weak, strong):
    sizes = view_sizes(facts(1000, short_side), machine)
    assert (sizes.weak, sizes.strong) == (weak, strong)


def test_all_sizes_of_clsa_multi_shrink_alike():
    found = chosen('clsa-multi', facts(5000, short_side=112), ONE_GPU, epochs=300)
    # 224, 192, 160, 128, 96 halved, to multiples of 8
    assert found['train_dataloader.dataset.views.strong.size'] == [112, 96, 80, 64, 48]


def test_networks_without_batch_norm_get_adamw_and_a_warm_up():
    vit = Network('vit', dict(type='VisionTransformer', arch='small'), 384, True, False, False)
    found = chosen('clsa', facts(100_000), ONE_GPU, epochs=200, network=vit)
    assert found['optim_wrapper.optimizer'] == dict(_delete_=True, type='AdamW', lr=1.5e-4, weight_decay=0.1)
    assert found['model.neck.with_avg_pool'] is False
    warm_up, cosine = found['param_scheduler']
    assert (warm_up['type'], warm_up['end'], cosine['begin']) == ('LinearLR', 20, 20)


def test_simsiams_predictor_keeps_the_rate_of_the_rest():
    found = chosen('simsiam', facts(20_000), ONE_GPU, epochs=300)  # 23,400 steps
    assert found['optim_wrapper.optimizer.lr'] == pytest.approx(0.1)  # 0.05 for 256, twice that
    assert found['default_hooks.predictor_lr.lr'] == pytest.approx(0.1)


def test_both_encoders_start_from_a_checkpoint():
    found = chosen('clsa', facts(5000), ONE_GPU, epochs=100, init='/weights.pth')
    hook = found['default_hooks.pretrained_backbone']
    assert hook['modules'] == ['backbone', 'key_encoder.backbone']
    assert hook['checkpoint'] == '/weights.pth'


@pytest.mark.parametrize('machine', [LAPTOP, ONE_GPU, EIGHT_GPUS])
@pytest.mark.parametrize('method', METHODS)
def test_what_the_rules_choose_is_a_config_that_builds(method, machine, tmp_path):
    data = facts(3000, short_side=40)
    network = find_network('resnet18', 40, 32, small_stem=False, narrow=False)
    base = load_config(Path(config_folder(), METHODS[method]))
    decisions = choose(method, data, machine, network, 3, base, batch_size(data, machine))
    path = tmp_path / 'config.py'
    path.write_text(config_text('A test.', METHODS[method], decisions))
    cfg = load_config(path)
    for name, value in {d.name: d.value for d in decisions}.items():
        if not isinstance(value, dict | list):
            node = cfg
            for part in name.split('.'):
                node = node[part]
            assert node == value, name
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.random.fork_rng():
        model = MODELS.build(cfg.model)
    assert model.backbone.depth == 18
    assert model.neck is not None


def test_settings_are_put_into_their_places():
    from clsa_mm.pretraining.rules import Decision

    tree = nested([Decision('a.b.c', 1, '-'), Decision('a.d', 2, '-'), Decision('e', dict(f=3), '-')])
    assert tree == dict(a=dict(b=dict(c=1), d=2), e=dict(f=3))


@pytest.mark.parametrize(
    ('images', 'looked_at', 'bad', 'limit'),
    [
        (40, 40, 16, 32),
        (100_000, 2000, 40, 4000),  # 2 %, so 2,000 files; twice as many may be found
        (100_000, 2000, 3, None),  # 0.15 %: ImageFolder's 1 % will do
        (40, 40, 0, None),
    ],
)
def test_a_folder_with_many_corrupt_files_is_trained_on(images, looked_at, bad, limit):
    data = replace(facts(images), looked_at=looked_at, bad={'empty': bad} if bad else {})
    assert chosen('clsa', data, LAPTOP, 10).get('train_dataloader.dataset.max_corrupt') == limit


@pytest.mark.parametrize(('epochs', 'patience'), [(3, 5), (60, 6), (300, 30)])
def test_a_run_of_few_steps_an_epoch_may_stay_at_chance_for_a_tenth_of_it(epochs, patience):
    found = chosen('clsa', facts(300), LAPTOP, epochs)
    assert found['default_hooks.health.patience'] == patience
