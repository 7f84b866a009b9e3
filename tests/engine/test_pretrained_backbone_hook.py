from pathlib import Path

import pytest
import torch
from labelled_images import TinyModel, loader_config, write_images
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import clsa_mm  # noqa: F401
from clsa_mm.checkpoints.backbone import CheckpointError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init_default_scope('mmpretrain')
    write_images(tmp_path / 'images', per_class=3)
    return tmp_path


def build_runner(
    folder: Path, name: str, checkpoint: str | None, model: TinyModel = None, **settings
) -> Runner:
    """A runner whose training does not move the weights, so that they can be compared after it."""
    return Runner(
        model=model or TinyModel(),
        work_dir=str(folder / name),
        train_dataloader=dict(
            loader_config(folder / 'images'),
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=settings.pop('max_epochs', 1)),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
        custom_hooks=[dict(type='PretrainedBackboneHook', checkpoint=checkpoint)],
        default_scope='mmpretrain',
        experiment_name=f'{folder.name}_{name}',
        **settings,
    )


def log_of(folder: Path, name: str) -> str:
    (path,) = (folder / name).rglob('*.log')
    return path.read_text()


def saved(folder: Path, state: dict) -> str:
    torch.save(dict(state_dict=state), folder / 'pretrained.pth')
    return str(folder / 'pretrained.pth')


def parameters_equal(model: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_weights_replace_the_initialisation_and_are_counted(folder: Path) -> None:
    source = TinyModel()
    runner = build_runner(folder, 'run', saved(folder, source.state_dict()))
    runner.train()
    assert parameters_equal(runner.model.backbone, source.backbone)
    total = len(source.backbone.state_dict())
    assert f'Backbone: loaded {total}/{total} keys from' in log_of(folder, 'run')


def test_partial_match_is_warned_of(folder: Path) -> None:
    state = TinyModel().state_dict()
    del state['backbone.conv1.weight']
    state['backbone.bn1.weight'] = torch.ones(3)
    runner = build_runner(folder, 'run', saved(folder, state))
    runner.train()
    log, total = log_of(folder, 'run'), len(runner.model.backbone.state_dict())
    assert f'WARNING - Backbone: loaded {total - 2}/{total} keys' in log
    assert '1 missing: conv1.weight' in log
    assert '1 mismatched: bn1.weight ((3,) in the file, (8,) in the module)' in log


def test_nothing_in_common_is_an_error(folder: Path) -> None:
    checkpoint = saved(folder, {'backbone.stem.weight': torch.ones(3)})
    with pytest.raises(CheckpointError, match='it has conv1.weight.*the file has stem.weight'):
        build_runner(folder, 'run', checkpoint).train()


def test_no_checkpoint_is_said_to_be_the_floor(folder: Path) -> None:
    build_runner(folder, 'run', None).train()
    assert 'RANDOM-INITIALISED' in log_of(folder, 'run')


@pytest.mark.parametrize('resume', [True, False])
def test_weights_of_a_resumed_or_loaded_model_stay(folder: Path, resume: bool) -> None:
    first = build_runner(folder, 'first', saved(folder, TinyModel().state_dict()))
    first.train()
    other = saved(folder, TinyModel().state_dict())
    second = build_runner(
        folder,
        'second',
        other,
        load_from=str(folder / 'first' / 'epoch_1.pth'),
        resume=resume,
        max_epochs=2,
    )
    second.train()
    assert parameters_equal(second.model.backbone, first.model.backbone)
    assert 'weights of the checkpoint that the runner loaded' in log_of(folder, 'second')


def test_resume_without_a_checkpoint_to_resume_from_still_loads(folder: Path) -> None:
    source = TinyModel()
    runner = build_runner(folder, 'run', saved(folder, source.state_dict()), resume=True)
    runner.train()
    assert parameters_equal(runner.model.backbone, source.backbone)


def test_model_without_backbone(folder: Path) -> None:
    model = TinyModel()
    model.trunk = model.backbone
    del model.backbone
    with pytest.raises(ValueError, match='has no `backbone`.*take the hook out of custom_hooks'):
        build_runner(folder, 'run', None, model).train()
    runner = build_runner(folder, 'default', None, model)
    runner.cfg.default_hooks = dict(pretrained_backbone=dict(type='PretrainedBackboneHook'))
    with pytest.raises(ValueError, match='take pretrained_backbone out of default_hooks'):
        runner.train()


class SharedStage(torch.nn.Module):
    """What a C4 detector has: a copy of a stage of the backbone, and a norm that no pretraining has."""

    new_modules = ('norm',)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 8, 3, bias=False)
        self.norm = torch.nn.BatchNorm2d(8)


def two_part_runner(folder: Path, checkpoint: str | None, *modules: str) -> Runner:
    model = TinyModel()
    model.head = torch.nn.Module()
    model.head.shared = SharedStage()
    runner = build_runner(folder, 'run', checkpoint, model)
    (hook,) = (hook for hook in runner.hooks if type(hook).__name__ == 'PretrainedBackboneHook')
    hook.modules = ('backbone', *modules)
    return runner


def test_several_modules_are_loaded_and_reported_apart(folder: Path) -> None:
    state = {**TinyModel().state_dict(), 'backbone.fc.weight': torch.ones(3)}
    runner = two_part_runner(folder, saved(folder, state), 'head.shared')
    runner.train()
    log = log_of(folder, 'run')
    assert torch.equal(runner.model.head.shared.conv1.weight, state['backbone.conv1.weight'])
    assert 'INFO - Backbone, head.shared: loaded 1/1 keys' in log
    assert '4 new, in no checkpoint: norm.weight, norm.bias, norm.running_mean, norm.running_var' in log
    # bn1 and the stages belong to the other module; only fc is of use to none.
    assert log.count('1 unused: fc.weight') == 2


def test_a_module_that_nothing_fits_is_an_error(folder: Path) -> None:
    state = TinyModel().state_dict()
    del state['backbone.conv1.weight']
    with pytest.raises(CheckpointError, match='fits the SharedStage'):
        two_part_runner(folder, saved(folder, state), 'head.shared').train()


def test_a_module_that_the_model_lacks_is_an_error(folder: Path) -> None:
    runner = two_part_runner(folder, None, 'roi_head.shared_head')
    with pytest.raises(ValueError, match='TinyModel has no `roi_head.shared_head`.*out of `modules`'):
        runner.train()
