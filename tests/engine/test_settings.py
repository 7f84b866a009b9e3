"""What a config or an option sets takes effect, or is refused with the name that does."""

import functools
import sys

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from clsa_mm.engine.config_bases import config_folder
from clsa_mm.engine.constructors import arguments_of
from clsa_mm.engine.settings import default_work_dir, load_bases, load_config

IMAGENET = 'clsa_r50_8xb32_200e.py'
CIFAR = config_folder() / 'cifar10/clsa_r18_1xb256_200e_cifar10.py'
OWN_COCO = config_folder() / 'benchmarks/detection/faster-rcnn_r50-fpn_1xb8-12e_own_coco.py'


@pytest.fixture
def write(tmp_path):
    """Write a config of the user's own, anywhere, which inherits from one of ours."""

    def write(text, base=IMAGENET, name='mine.py'):
        path = tmp_path / name
        path.write_text(f"_base_ = 'clsa_mm::{base}'\n{text}\n")
        return path

    return write


def test_an_ablation_resolves_to_what_it_says_and_nothing_else(write):
    path = write(
        "model = dict(bank='own', head=dict(beta=0.5))\n"
        'train_dataloader = dict(dataset=dict(views=dict(strong=dict(num_ops=3))))\n'
        'train_cfg = dict(max_epochs=400)'
    )
    expected = Config.fromfile(config_folder() / IMAGENET).to_dict()
    expected['model']['bank'] = 'own'
    expected['model']['head']['beta'] = 0.5
    expected['train_dataloader']['dataset']['views']['strong']['num_ops'] = 3
    expected['train_cfg']['max_epochs'] = 400
    assert load_config(path).to_dict() == expected
    assert load_bases(path).to_dict() == Config.fromfile(config_folder() / IMAGENET).to_dict()


@pytest.mark.parametrize(
    ('line', 'right'),
    [
        ('max_epochs = 400', 'train_cfg.max_epochs'),
        ('beta = 0.5', 'model.head.beta'),
        ('strong_view = [dict(size=96)]', 'train_dataloader.dataset.views.strong'),
        ("data_root = 'photographs'", 'train_dataloader.dataset.data_root'),
        ('base_lr = 0.1', 'optim_wrapper.optimizer.lr'),
        ('modle = dict(queue_len=4096)', 'model'),
        ('data_preprocessor = dict(mean=[0, 0, 0])', 'model.data_preprocessor'),
    ],
)
def test_names_that_nothing_reads_are_refused(write, line, right):
    with pytest.raises(ValueError, match=rf'mine.py: nothing reads `\w+`.*Did you mean {right}\b'):
        load_config(write(line))


def test_the_variable_of_a_base_beside_the_file_is_found(write):
    write('max_epochs = 400', name='base.py')
    top = write('')
    top.write_text("_base_ = './base.py'\n")
    with pytest.raises(ValueError, match='base.py: nothing reads `max_epochs`'):
        load_config(top)
    top.write_text("_base_ = './base.py'\ntrain_cfg = dict(max_epochs=_base_.max_epochs)\n")
    assert load_config(top).train_cfg.max_epochs == 400


def test_a_base_beside_the_file_without_bases_of_its_own_is_checked(tmp_path):
    mixin, top = tmp_path / 'mixin.py', tmp_path / 'mine.py'
    top.write_text(f"_base_ = ['clsa_mm::' + '{IMAGENET}', './mixin.py']\n_helper = 1\n")
    mixin.write_text('max_epochs = 400\n')
    with pytest.raises(ValueError, match='mixin.py: nothing reads `max_epochs`'):
        load_config(top)
    mixin.write_text('epochs = 400\nepochs = epochs * 2  # not _base_.epochs\n')
    with pytest.raises(ValueError, match='mixin.py: nothing reads `epochs`'):
        load_config(top)
    for use in ('_base_.epochs', '{{_base_.epochs}}'):
        top.write_text(
            f"_base_ = ['clsa_mm::{IMAGENET}', './mixin.py']\ntrain_cfg = dict(max_epochs={use})\n"
        )
        assert load_config(top).train_cfg.max_epochs == 800


def test_bases_that_are_imported_are_checked(tmp_path):
    base, top = tmp_path / 'base.py', tmp_path / 'mine.py'
    base.write_text("epochs = 3\ntrain_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3)\n")
    start = 'from mmengine.config import read_base\nwith read_base():\n    from .base import *\n'
    top.write_text(start)
    with pytest.raises(ValueError, match='base.py: nothing reads `epochs`'):
        load_config(top)
    top.write_text(start + 'train_cfg.update(max_epochs=epochs)\nmax_epochs = 400\n')
    with pytest.raises(ValueError, match='mine.py: nothing reads `max_epochs`.*train_cfg.max_epochs'):
        load_config(top)


def test_a_base_that_cannot_be_evaluated_names_the_file(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("here = 'clsa_mm::'\n_base_ = here + 'x.py'\n")
    with pytest.raises(ValueError, match="mine.py: .*_base_.*'here' is not defined"):
        load_config(path)


def test_hooks_that_are_switched_off_have_to_be_there(write):
    path = write('default_hooks = dict(health=None, timer=None)')
    assert 'health' not in load_config(path).default_hooks
    assert 'health' not in load_config(path, {'default_hooks.health': None}).default_hooks
    assert 'knn' not in load_config(CIFAR, {'default_hooks.knn': None}).default_hooks
    with pytest.raises(ValueError, match='no such hook to switch off. Did you mean default_hooks.health'):
        load_config(path, {'default_hooks.heatlh': None})
    with pytest.raises(ValueError, match='no such hook to switch off. Did you mean default_hooks.health'):
        load_config(write('default_hooks = dict(heatlh=None)'))


def test_an_option_imports_no_module(tmp_path, monkeypatch):
    (tmp_path / 'my_ops_of_an_option.py').write_text('')
    monkeypatch.syspath_prepend(tmp_path)
    for name in ('custom_imports.imports', 'custom_imports.0', 'custom_imports'):
        with pytest.raises(ValueError, match='an option runs no code.* Name modules in a config file'):
            load_config(CIFAR, {name: ['my_ops_of_an_option']})
    assert 'my_ops_of_an_option' not in sys.modules


@pytest.mark.parametrize('value', ['__import__("os")', 2.5, 0, True])
def test_a_length_is_a_whole_number(value):
    with pytest.raises(ValueError, match='train_cfg: max_epochs=.* must be a whole number of at least 1'):
        load_config(CIFAR, {'train_cfg.max_epochs': value})


def test_files_of_other_formats_are_checked_too(tmp_path):
    path = tmp_path / 'mine.yml'
    path.write_text(f'_base_: clsa_mm::{IMAGENET}\ntrain_cfg: {{max_epochs: 3}}\nmax_epochs: 3\n')
    with pytest.raises(ValueError, match='nothing reads `max_epochs`'):
        load_config(path)


def test_variables_that_the_file_uses_pass(write):
    """As do those of a library's bases, until they are set anew to no effect."""
    assert load_config(write('epochs = 3\ntrain_cfg = dict(max_epochs=epochs)')).train_cfg.max_epochs == 3
    base = 'benchmarks/detection/' + OWN_COCO.name
    assert load_config(write('', base)).data_root == 'data/coco/'  # mmdet's own
    with pytest.raises(ValueError, match='nothing reads `data_root`.*train_dataloader.dataset.data_root'):
        load_config(write("data_root = 'mine'", base))


def test_the_whole_config_in_a_work_dir_passes(tmp_path):
    cfg = load_config(OWN_COCO)
    cfg.dump(tmp_path / 'whole.py')
    assert 'backend_args' in cfg  # a variable of mmdet's
    assert load_config(tmp_path / 'whole.py').to_dict() == cfg.to_dict()


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('max_epochs', 'Did you mean train_cfg.max_epochs'),
        ('weak_view.0.scale', 'Did you mean train_dataloader.dataset.views.weak'),
        (
            'train_pipeline.1.transforms.1.num_ops',
            'Did you mean train_dataloader.dataset.views.strong.num_ops',
        ),
        ('train_pipeline.1.scale', r'it. Views are set in train_dataloader.dataset.views.$'),
        ('train_cfg', 'train_cfg is 1, but holds settings'),
        ('modle.queue_len', r'Did you mean model.queue_len\?'),
        ('param_schedulers.0.T_max', 'Did you mean param_scheduler or'),
        ('param_scheduler.0.T_max', 'param_scheduler.0: CosineAnnealingLR has no such setting.*T_max'),
        ('data_preprocessor.mean', r'Did you mean model.data_preprocessor.mean\?'),
        ('model.bakbone.depth', 'model.bakbone: CLSA has no such setting. Did you mean model.backbone'),
        ('model.backbone.dept', 'Did you mean model.backbone.depth'),
        ('model.head.betta', 'Did you mean model.head.beta'),
        ('train_dataloader.batchsize', 'Did you mean train_dataloader.batch_size'),
        ('train_dataloader.dataset.data_rot', 'ImageFolder has no such setting. Did you mean .*.data_root'),
        ('train_dataloader.dataset.views.stong.num_ops', "unknown name 'stong'; did you mean 'strong'"),
        ('train_dataloader.dataset.views.strong.numops', "unknown name 'numops'; did you mean 'num_ops'"),
        ('train_cfg.max_epoch', 'Did you mean train_cfg.max_epochs'),
        ('optim_wrapper.optimizer.learning_rate', 'SGD has no such setting.*lr'),
        (
            'optim_wrapper.paramwise_cfg.norm_decay',
            'Did you mean optim_wrapper.paramwise_cfg.norm_decay_mult',
        ),
        ('default_hooks.checkpont.interval', 'Did you mean default_hooks.checkpoint'),
        ('custom_hooks.0.interval', 'there is no list custom_hooks of which to set an entry'),
        ('model.plugins.0.type', 'there is no list model.plugins of which'),
        ('randomness.sed', 'Did you mean randomness.seed'),
        ('auto_scale_lr.enabled', 'Did you mean auto_scale_lr.enable'),
        ('default_hooks.checkpoint.intervall', 'Did you mean default_hooks.checkpoint.interval'),
        ('train_dataloader.dataset.views.strong.area.0', r'area is \(.*Set it as a whole: .*strong.area='),
        ('model.data_preprocessor.mean.1', 'Set it as a whole: model.data_preprocessor.mean='),
        ('train_dataloader.dataset.metainfo.clases', 'Did you mean .*metainfo.classes'),
        ('default_hooks.knn.train.data_prefx', 'Did you mean default_hooks.knn.train.data_prefix'),
        ('optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mlt', 'Did you mean .*backbone.lr_mult'),
        ('optim_wrapper.clip_grad.max_nrm', 'Did you mean optim_wrapper.clip_grad.max_norm'),
        ('env_cfg.dist_cfg.backnd', 'Did you mean env_cfg.dist_cfg.backend'),
        ('env_cfg.mp_cfg.opencv_num_thread', 'Did you mean env_cfg.mp_cfg.opencv_num_threads'),
        ('model_wrapper_cfg.find_unused_parameter', 'Did you mean .*find_unused_parameters'),
        ('compile.moode', 'Did you mean compile.mode'),
        ('model.priority', 'CLSA has no such setting'),
        ('model.head.stages', 'DDMHead has no such setting'),
        ('env_cfg.cudnn', 'There is cudnn_benchmark, dist_cfg, mp_cfg, resource_limit'),
    ],
)
def test_options_that_nothing_reads_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        load_config(CIFAR, {name: 1})


@pytest.mark.parametrize('name', ['runner_type', 'tta_model', 'tta_pipeline', 'metric'])
def test_what_only_other_tools_read_is_refused(name, write):
    with pytest.raises(ValueError, match=f'--cfg-options {name}: nothing reads it'):
        load_config(CIFAR, {name: 'x'})
    with pytest.raises(ValueError, match=f'mine.py: nothing reads `{name}`'):
        load_config(write(f"{name} = 'x'"))


def test_the_metric_of_the_transfer_table_stands_in_the_file(write):
    transfer = 'benchmarks/classification/transfer/linear_r50_dtd.py'
    assert load_config(write("metric = 'mean_per_class/recall'", transfer)).metric == 'mean_per_class/recall'
    with pytest.raises(ValueError, match='--cfg-options metric: nothing reads it'):
        load_config(config_folder() / transfer, {'metric': 'mean_per_class/recall'})


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('load_from', 'x.pth'),
        ('resume', True),
        ('compile', True),
        ('find_unused_parameters', True),
        ('model_wrapper_cfg.find_unused_parameters', True),
        ('sync_bn', 'torch'),
        ('optim_wrapper.accumulative_counts', 4),
        ('optim_wrapper.clip_grad.max_norm', 1.0),
        ('optim_wrapper.paramwise_cfg.custom_keys.head.lr_mult', 10),
        ('model.init_cfg', None),
        ('model.backbone.norm_cfg.requires_grad', False),
        ('train_dataloader.num_batch_per_epoch', 3),
        ('train_dataloader.dataset.max_corrupt', 3),
        ('train_dataloader.dataset.views.strong.ops.Invert', None),
        ('train_dataloader.dataset.metainfo.mine', 3),
        ('optim_wrapper.paramwise_cfg.custom_keys.head.weight_decay', 0.0),
        ('compile.mode', 'default'),
        ('optim_wrapper.clip_grad', dict(type='value', clip_value=1.0)),
        ('default_hooks.health.priority', 'LOW'),
        ('default_hooks.checkpoint.meta', dict(mine=1)),
        ('randomness.deterministic', True),
        ('default_hooks.checkpoint.save_optimizer', False),
        ('custom_hooks', [dict(type='EMAHook', priority='LOW')]),
        ('train_dataloader.dataset.views.key.recipe', dict(type='autoaugment', _delete_=True)),
    ],
)
def test_what_the_runner_or_a_constructor_reads_passes(name, value):
    cfg = load_config(CIFAR, {name: value})
    assert cfg.to_dict() != load_config(CIFAR).to_dict()


@pytest.mark.parametrize(
    ('name', 'kind', 'near'),
    [
        ('model.head.type', 'DMHead', 'DDMHead'),
        ('param_scheduler.type', 'CosineAnnealingL', 'CosineAnnealingLR'),
        ('train_dataloader.dataset.type', 'ImageFoldr', 'ImageFolder'),
        ('default_hooks.health.type', 'HealthHok', 'HealthHook'),
        ('model.type', 'CSLA', 'CLSA'),
        ('optim_wrapper.optimizer.type', 'SDG', 'SGD'),
        ('optim_wrapper.optimizer.type', 'LAR', 'LARS'),
        ('model.backbone.norm_cfg.type', 'NB', 'BN'),
        ('train_dataloader.collate_fn.type', 'default_colate', 'default_collate'),
        (
            'optim_wrapper.constructor',
            'DefaultOptimWraperConstructor',
            'DefaultOptimWrapperConstructor',
        ),
    ],
)
def test_misspelt_types_are_refused(name, kind, near):
    with pytest.raises(ValueError, match=f'{name}: nothing is registered as {kind}. Did you mean {near}'):
        load_config(CIFAR, {name: kind})


@pytest.mark.parametrize(
    ('name', 'value', 'missing'),
    [
        ('train_cfg.val_interval', 3, 'no validation. .*missing: val_dataloader, val_cfg, val_evaluator'),
        ('val_dataloader.batch_size', 3, 'no validation. .*missing: val_cfg, val_evaluator'),
        ('val_cfg.type', 'ValLoop', 'no validation. .*missing: val_dataloader, val_evaluator'),
        ('test_evaluator.type', 'Accuracy', 'no test. .*missing: test_dataloader, test_cfg'),
    ],
)
def test_settings_of_a_validation_that_is_not_there_are_refused(name, value, missing):
    with pytest.raises(ValueError, match=f'--cfg-options {name}: the config has {missing}'):
        load_config(config_folder() / IMAGENET, {name: value})


def test_a_validation_that_a_config_gives_passes(write):
    path = write(
        "val_dataloader = dict(dataset=dict(type='CIFAR10', data_root='x', split='test'))\n"
        "val_cfg = dict(type='ValLoop')\nval_evaluator = dict(type='Accuracy')"
    )
    cfg = load_config(path, {'train_cfg.val_interval': 3, 'val_dataloader.batch_size': 4})
    assert cfg.train_cfg.val_interval == 3
    with pytest.raises(ValueError, match='val_cfg is None, of which .*A config that inherits'):
        load_config(write('val_cfg = None'), {'val_cfg.type': 'ValLoop'})
    off = dict.fromkeys(['val_dataloader', 'val_cfg', 'val_evaluator'])
    assert load_config(path, off).val_cfg is None
    assert load_config(OWN_COCO, {'train_cfg.val_interval': 3}).train_cfg.val_interval == 3


def test_a_type_like_no_other_says_what_registers_more():
    for name in ('model.type', 'optim_wrapper.constructor'):
        with pytest.raises(ValueError, match=f'{name}: nothing is registered as Xyzzy. custom_imports'):
            load_config(CIFAR, {name: 'Xyzzy'})


def test_naming_the_default_constructor_changes_no_check():
    constructor = {'optim_wrapper.constructor': 'DefaultOptimWrapperConstructor'}
    options = {'optim_wrapper.paramwise_cfg.norm_decay_mult': 0.0}
    assert load_config(CIFAR, constructor | options).optim_wrapper.paramwise_cfg.norm_decay_mult == 0
    for name in ('paramwise_cfg.norm_decay_mul', 'optimizer.momentm'):
        with pytest.raises(ValueError, match=f'{name}: .*Did you mean optim_wrapper.{name[:9]}'):
            load_config(CIFAR, constructor | {f'optim_wrapper.{name}': 0})
    layerwise = {'optim_wrapper.constructor': 'LearningRateDecayOptimWrapperConstructor'}
    options = {'optim_wrapper.paramwise_cfg.layer_decay_rate': 0.9, 'default_scope': 'mmpretrain'}
    assert load_config(CIFAR, layerwise | options).optim_wrapper.paramwise_cfg.layer_decay_rate == 0.9


@pytest.mark.parametrize('name', ['data_prefix.image', 'filter_cfg.min_sz'])
def test_what_a_data_set_does_not_read_is_refused(name):
    with pytest.raises(ValueError, match=f'{name}: CocoDataset has no such setting'):
        load_config(OWN_COCO, {f'train_dataloader.dataset.{name}': 1})
    options = {'train_dataloader.dataset.filter_cfg.min_size': 1}
    assert load_config(OWN_COCO, options).train_dataloader.dataset.filter_cfg.min_size == 1


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('test_cfg.rcnn.score_threshold', 'StandardRoIHead .*Did you mean model.test_cfg.rcnn.score_thr'),
        (
            'test_cfg.rpn.nms.iou_thresh',
            'nms has no such .*Did you mean model.test_cfg.rpn.nms.iou_threshold',
        ),
        ('train_cfg.rpn_proposal.nms_prre', 'Did you mean model.train_cfg.rpn_proposal.nms_pre'),
        ('train_cfg.rcnn.match_low_quality', 'StandardRoIHead has no such setting. There is assigner'),
        ('test_cfg.rcnn.nms_pre', 'StandardRoIHead has no such'),  # the RPN reads it
        ('test_cfg.score_thr', 'FasterRCNN has no such setting. There is rcnn, rpn'),
        ('train_cfg.rcnn.sampler.pos_fractoin', 'RandomSampler .*Did you mean .*rcnn.sampler.pos_fraction'),
        ('train_cfg.rpn.sampler.nums', r'RandomSampler .*Did you mean model.train_cfg.rpn.sampler.num\?'),
        ('train_cfg.rpm', r'Did you mean model.train_cfg.rpn\?'),
    ],
)
def test_what_a_detector_does_not_read_is_refused(name, message):
    with pytest.raises(ValueError, match=f'model.{name}: .*{message}'):
        load_config(OWN_COCO, {f'model.{name}': 1})


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('test_cfg.rcnn.score_thr', 0.1),
        ('test_cfg.rcnn.nms', dict(type='soft_nms', iou_threshold=0.5, sigma=0.5)),
        ('test_cfg.rpn.nms.class_agnostic', True),
        ('train_cfg.rpn_proposal.min_bbox_size', 2),
        ('train_cfg.rcnn.sampler.num', 128),
        ('train_cfg.rcnn.sampler.rng', 3),  # of **kwargs
        ('train_cfg.rcnn.sampler', dict(type='IoUBalancedNegSampler', num=8, pos_fraction=1, floor_thr=0)),
    ],
)
def test_what_a_detector_reads_passes(name, value):
    assert load_config(OWN_COCO, {f'model.{name}': value}).to_dict() != load_config(OWN_COCO).to_dict()


def test_another_loop_says_how_to_drop_what_is_inherited():
    with pytest.raises(ValueError, match='max_epochs: IterBased.*`_delete_=True` in train_cfg'):
        load_config(CIFAR, {'train_cfg.type': 'IterBasedTrainLoop', 'train_cfg.max_iters': 3})
    with pytest.raises(ValueError, match='momentum: AdamW .*`_delete_=True` in optim_wrapper.optimizer'):
        load_config(CIFAR, {'optim_wrapper.optimizer.type': 'AdamW'})
    options = {'type': 'IterBasedTrainLoop', 'max_iters': 3, '_delete_': True}
    assert load_config(CIFAR, {f'train_cfg.{key}': options[key] for key in options}).train_cfg.max_iters == 3


class Reads(Hook):
    """Every key may be right: what happens to **kwargs is not known."""

    def __init__(self, depth, **kwargs):
        self.depth, self.more = depth, kwargs


def test_constructors():
    class Base:
        def __init__(self, depth, width=1):
            pass

    class PassesOn(Base):
        def __init__(self, name, **kwargs):
            kwargs.setdefault('width', 2)
            super().__init__(**kwargs)

    class Takes(Base):
        def __init__(self, name, **kwargs):
            self.own = kwargs.pop('own', 0)
            super().__init__(**kwargs)

    class Inherits(PassesOn):
        pass

    class Skips(PassesOn):
        def __init__(self, **kwargs):
            super(PassesOn, self).__init__(**kwargs)

    class Decorated(Base):
        @functools.wraps(Base.__init__)
        def __init__(self, *args, **kwargs):
            super().__init__(*args, width=kwargs.pop('breadth', 1), **kwargs)

    assert arguments_of(Base) == {'depth', 'width'}
    assert arguments_of(PassesOn) == arguments_of(Inherits) == {'name', 'depth', 'width'}
    for anything in (Takes, Reads, Skips, Decorated):
        assert arguments_of(anything) is None
    assert arguments_of(lambda a, *, b: None) == {'a', 'b'}
    assert arguments_of(lambda a, **b: None) is None


@pytest.mark.parametrize(
    ('package', 'name'),
    [
        ('mmdet', 'vfnet/vfnet_r50-mdconv-c3-c5_fpn_ms-2x_coco.py'),
        ('mmdet', 'dcnv2/faster-rcnn_r50-mdconv-group4-c3-c5_fpn_1x_coco.py'),
        ('mmdet', 'detr/detr_r50_8xb2-150e_coco.py'),
        ('mmdet', 'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py'),
        ('mmdet', 'faster_rcnn/faster-rcnn_r50_fpn_fcos-rpn_1x_coco.py'),
        ('mmdet', 'pisa/mask-rcnn_r50_fpn_pisa_1x_coco.py'),
        ('mmdet', 'convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py'),
        ('mmpretrain', 'swin_transformer/swin-tiny_16xb64_in1k.py'),
        ('mmpretrain', 'beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py'),
        ('mmpretrain', 'mocov3/mocov3_resnet50_8xb512-amp-coslr-100e_in1k.py'),
    ],
)
def test_the_libraries_own_configs_pass(package, name, tmp_path):
    """With keys that classes take out of their parts' dictionaries, or decorators rename."""
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = '{package}::{name}'\n")
    assert load_config(path).model


def test_a_class_of_ones_own_may_read_what_it_likes(write, monkeypatch):
    """It may take keys out of the dictionaries of its parts, too."""
    monkeypatch.setitem(HOOKS.module_dict, 'Reads', Reads)
    cfg = load_config(write("custom_hooks = [dict(type='Reads', depth=dict(type='EMAHook', mine=1))]"))
    assert cfg.custom_hooks[0].depth.mine == 1


def test_none_stands_for_the_training_set():
    cfg = load_config(CIFAR, {'train_dataloader.dataset.data_root': 'mine'})
    assert cfg.default_hooks.knn.dataset.data_root == 'mine'
    classes = ('cat', 'dog')
    options = {
        'train_dataloader.dataset.data_root': 'mine',
        'train_dataloader.dataset.metainfo.classes': classes,
        'model.roi_head.bbox_head.num_classes': 2,
    }
    cfg = load_config(OWN_COCO, options)
    for split in ('val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.data_root == 'mine'
        assert cfg[f'{split}_dataloader'].dataset.metainfo.classes == classes
        assert cfg[f'{split}_evaluator'].ann_file == 'mine/annotations/val.json'
    given = load_config(CIFAR, {'default_hooks.knn.dataset.data_root': 'labelled'})
    assert given.train_dataloader.dataset.data_root == 'data/cifar10'
    assert given.default_hooks.knn.dataset.data_root == 'labelled'


def test_no_workers_need_no_persistence():
    """torch's DataLoader refuses persistent_workers and prefetch_factor without workers."""
    cfg = load_config(CIFAR, {'train_dataloader.num_workers': 0, 'train_dataloader.prefetch_factor': 4})
    assert not cfg.train_dataloader.persistent_workers
    assert 'prefetch_factor' not in cfg.train_dataloader
    assert load_config(CIFAR).train_dataloader.persistent_workers


def test_each_config_has_a_work_dir_of_its_own(tmp_path):
    folders = [default_work_dir(path) for path in config_folder().rglob('*.py')]
    assert len(set(folders)) == len(folders)
    assert default_work_dir(config_folder() / IMAGENET) == 'work_dirs/clsa_r50_8xb32_200e'
    assert (
        default_work_dir(config_folder() / 'mmselfsup' / IMAGENET)
        == 'work_dirs/mmselfsup/clsa_r50_8xb32_200e'
    )
    assert default_work_dir(tmp_path / 'mine.py') == 'work_dirs/mine'


def test_a_base_that_is_not_there_is_named(write):
    with pytest.raises(
        FileNotFoundError, match='mine.py inherits from clsa_mm::clsa_r51.py, but there is no'
    ):
        load_config(write('', 'clsa_r51.py'))


WARM_UP = [dict(type='LinearLR', end=10), dict(type='CosineAnnealingLR', begin=10)]
BY_ITERATIONS = [
    dict(type='LinearLR', by_epoch=False, end=500),
    dict(type='PolyLR', by_epoch=False, begin=500),
]


@pytest.mark.parametrize(
    ('schedule', 'loop', 'begin', 'longer'),
    [
        (WARM_UP, dict(max_epochs=10), 'max_epochs=10 .* above 10, param_scheduler.1.begin', 11),
        (WARM_UP[1], dict(max_epochs=1), 'max_epochs=1 .* above 10, param_scheduler.begin', 11),
        (
            BY_ITERATIONS,
            dict(by_epoch=False, max_iters=9),
            'max_iters=9 .* above 500, param_scheduler.1.begin',
            501,
        ),
    ],
)
def test_a_training_within_its_warm_up_is_refused(schedule, loop, begin, longer, write):
    """mmengine's error counts in iterations and names no setting; of one epoch more there is none."""
    text = 'param_scheduler = {}\ntrain_cfg = dict(_delete_=True, **{})'
    if isinstance(schedule, dict):
        schedule = dict(_delete_=True, **schedule)
    with pytest.raises(ValueError, match=f'param_scheduler.*train_cfg.{begin}.*param_scheduler=None'):
        load_config(write(text.format(schedule, loop)))
    length = [name for name in loop if name != 'by_epoch'][0]
    load_config(write(text.format(schedule, {**loop, length: longer})))
    load_config(write(text.format(None, loop)))
