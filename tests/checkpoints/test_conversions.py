"""Weights keep their meaning in each library. The libraries themselves are the oracles."""

import argparse
import pickle
import pickletools
import re

import conversion_matrix as reference
import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from mmpretrain.models import ImageClassifier, ResNet

import clsa_mm
from clsa_mm.checkpoints import FORMATS, convert, convert_file
from clsa_mm.checkpoints.backbone import CheckpointError, backbone_state_dict, read_checkpoint
from clsa_mm.checkpoints.convert import write_checkpoint

DEPTHS = (18, 50)  # basic blocks and bottlenecks; conversion_matrix.py goes through more
IMAGES = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope='module', params=DEPTHS)
def source(request, tmp_path_factory):
    """Depth, a CLSA checkpoint and the features of its backbone."""
    model = reference.randomise(reference.build_clsa(request.param))
    path = tmp_path_factory.mktemp('source') / 'clsa.pth'
    torch.save(dict(meta=dict(epoch=3), state_dict=model.state_dict()), path)
    with torch.no_grad():
        return request.param, path, model.backbone(IMAGES)[0]


@pytest.fixture
def small_files():
    """The system refuses to write more than 100 kB to a file."""
    resource = pytest.importorskip('resource', reason='needs the limits of a Unix system')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize('target', FORMATS)
def test_from_clsa_to_each(source, target, tmp_path):
    depth, path, expected = source
    written = tmp_path / f'out{reference.SUFFIX[target]}'
    conversion = convert_file(path, written, target)
    assert conversion.source == 'clsa' and conversion.taken['backbone'] == len(ResNet(depth).state_dict())
    assert expected.std() > 0.05  # no trivial features
    found = reference.features(target, written, depth, IMAGES)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def detectron2_arrays(depth):
    """What ``build_resnet_backbone`` of detectron2 names its weights, with random values."""
    blocks = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth]
    rng, arrays = np.random.default_rng(0), {}

    def conv(name, width_in, width_out, kernel):
        shape = (width_out, width_in, kernel, kernel)
        arrays[f'{name}.weight'] = rng.normal(0, (width_in * kernel**2) ** -0.5, shape).astype('f4')
        for key in ('weight', 'bias', 'running_mean', 'running_var'):
            low = 0.5 if key in ('weight', 'running_var') else -0.1
            arrays[f'{name}.norm.{key}'] = rng.uniform(low, low + 0.4, width_out).astype('f4')

    conv('stem.conv1', 3, 64, 7)
    width_in = 64
    for stage, count in zip((2, 3, 4, 5), blocks, strict=True):
        inner = 64 * 2 ** (stage - 2)
        width = inner * (4 if depth >= 50 else 1)
        for block in range(count):
            name = f'res{stage}.{block}'
            if width_in != width:
                conv(f'{name}.shortcut', width_in, width, 1)
            if depth >= 50:
                conv(f'{name}.conv1', width_in, inner, 1)
                conv(f'{name}.conv2', inner, inner, 3)
                conv(f'{name}.conv3', inner, width, 1)
            else:
                conv(f'{name}.conv1', width_in, width, 3)
                conv(f'{name}.conv2', width, width, 3)
            width_in = width
    return arrays


@pytest.mark.parametrize('depth', DEPTHS)
@pytest.mark.parametrize('layout', ['torchvision', 'timm', 'official', 'detectron2'])
def test_from_each_library(layout, depth, tmp_path):
    path = tmp_path / f'in{reference.SUFFIX[layout]}'
    if layout == 'detectron2':
        arrays = detectron2_arrays(depth)
        path.write_bytes(pickle.dumps(dict(model=arrays, __author__='x', matching_heuristics=True)))
        expected = reference.detectron2_forward(arrays, IMAGES)
    else:
        if layout == 'timm':
            model = reference.randomise(timm.create_model(f'resnet{depth}', num_classes=5))
            content, forward = dict(state_dict=model.state_dict(), epoch=1, arch='x'), model.forward_features
        elif layout == 'torchvision':
            model = reference.randomise(getattr(torchvision.models, f'resnet{depth}')())
            content, forward = model.state_dict(), lambda images: reference.trunk(model, images)
        else:
            model = reference.randomise(reference.Official(depth))
            state = {f'module.{name}': value for name, value in model.state_dict().items()}
            content = dict(epoch=200, arch=f'resnet{depth}', state_dict=state, optimizer=dict(state={}))
            forward = lambda images: reference.trunk(model.encoder_q, images)  # noqa: E731
        torch.save(content, path)
        with torch.no_grad():
            expected = forward(IMAGES)
    written = tmp_path / 'mm.pth'
    assert convert_file(path, written, 'mm').source == layout.replace('timm', 'torchvision')
    assert backbone_state_dict(read_checkpoint(path)).keys() <= ResNet(depth).state_dict().keys()
    found = reference.features('mm', written, depth, IMAGES)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(clsa_mm.load_backbone(path)(IMAGES)[-1], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('depth', [18, 50])
def test_official_training_checkpoint_becomes_a_clsa_model(depth):
    """Projection, key encoder and queue too."""
    theirs = reference.randomise(reference.Official(depth))
    state = {f'module.{name}': value for name, value in theirs.state_dict().items()}
    state['module.queue_ptr'] = torch.tensor([8])
    conversion = convert(dict(epoch=200, arch='', state_dict=state, optimizer={}), 'clsa')
    assert set(conversion.left_out) == {'optimizer'}
    assert conversion.content['meta']['epoch'] == 200
    ours = reference.build_clsa(depth)
    ours.load_state_dict(conversion.content['state_dict'])
    ours.eval()
    with torch.no_grad():
        torch.testing.assert_close(
            ours.encode_query(IMAGES), F.normalize(theirs.encoder_q(IMAGES)), rtol=0, atol=1e-5
        )
        torch.testing.assert_close(ours.key_encoder(IMAGES)[0], theirs.encoder_k(IMAGES), rtol=0, atol=1e-5)
    assert torch.equal(ours.queue.keys, theirs.queue.T) and ours.queue.pointer == 8 and ours.queue.fill == 1

    back = reference.Official(depth)
    back.load_state_dict(
        {name.removeprefix('module.'): value for name, value in
         convert(conversion.content, 'official').content['state_dict'].items()}
    )  # fmt: skip
    for name, value in back.state_dict().items():
        assert torch.equal(value, state[f'module.{name}']), name


def numbers(content):
    """The arrays or tensors of a file's content, as numpy arrays."""
    state = content.get('state_dict', content.get('model', content))
    return {name: np.asarray(value) for name, value in state.items()}


@pytest.mark.parametrize('first', FORMATS)
@pytest.mark.parametrize('second', FORMATS)
def test_round_trips_are_the_identity(first, second, tmp_path):
    model = reference.randomise(reference.build_clsa(18, base=8))
    model.queue.num_enqueued.fill_(1000)
    whole = dict(meta=dict(epoch=3, iter=30, cfg='a = 1\n'), state_dict=model.state_dict())
    only = '' if {first, second} <= {'clsa', 'official'} else 'backbone.'
    whole['state_dict'] = {k: v for k, v in whole['state_dict'].items() if k.startswith(only)}
    paths = [tmp_path / f'{i}{reference.SUFFIX[name]}' for i, name in enumerate((first, second, first))]
    write_checkpoint(convert(whole, first).content, paths[0])
    convert_file(paths[0], paths[1], second, first)
    conversion = convert_file(paths[1], paths[2], first, second)
    assert not conversion.left_out  # on the way back
    before, after = numbers(read_checkpoint(paths[0])), numbers(read_checkpoint(paths[2]))
    assert before.keys() == after.keys() and len(before) >= 120
    for name, value in before.items():
        assert value.dtype == after[name].dtype and np.array_equal(value, after[name]), name
    if not only and first == 'clsa':
        assert after['queue.num_enqueued'] == 1000
        assert read_checkpoint(paths[2])['meta']['epoch'] == 3


def test_detectron2_names():
    """The pairs of the documented map, by hand."""
    pairs = {
        'conv1.weight': 'stem.conv1.weight',
        'bn1.running_mean': 'stem.conv1.norm.running_mean',
        'layer1.0.conv1.weight': 'res2.0.conv1.weight',
        'layer1.0.bn2.bias': 'res2.0.conv2.norm.bias',
        'layer2.3.conv3.weight': 'res3.3.conv3.weight',
        'layer3.22.bn3.running_var': 'res4.22.conv3.norm.running_var',
        'layer4.0.downsample.0.weight': 'res5.0.shortcut.weight',
        'layer4.0.downsample.1.weight': 'res5.0.shortcut.norm.weight',
        'layer4.0.downsample.1.num_batches_tracked': 'res5.0.shortcut.norm.num_batches_tracked',
    }
    state = {f'backbone.{k}': v for k, v in ResNet(101).state_dict().items()}
    for i, name in enumerate(pairs):
        state[f'backbone.{name}'] = torch.full_like(state[f'backbone.{name}'], i)
    model = convert(dict(state_dict=state), 'detectron2').content['model']
    assert len(model) == len(state)
    for i, name in enumerate(pairs.values()):
        assert (model[name] == i).all(), name


def test_detectron2_files_are_for_any_numpy(tmp_path):
    path = tmp_path / 'r18.pkl'
    state = {name: value.bfloat16() if value.is_floating_point() else value
             for name, value in reference.randomise(ResNet(18)).state_dict().items()}  # fmt: skip
    write_checkpoint(convert(state, 'detectron2').content, path)
    texts = {value for _, value, _ in pickletools.genops(path.read_bytes()) if isinstance(value, str)}
    assert not [text for text in texts if 'numpy.' in text or '_core' in text]
    content = pickle.loads(path.read_bytes(), encoding='latin1')  # as detectron2 reads it
    assert content['matching_heuristics'] is True and content['__author__']
    array = content['model']['stem.conv1.weight']
    assert array.dtype == np.float32 and array.flags.writeable
    assert np.array_equal(array, state['conv1.weight'].float().numpy())


@pytest.mark.parametrize('library', ['timm', 'torchvision'])
def test_classifiers_go_along(library, tmp_path):
    head = dict(type='LinearClsHead', num_classes=5, in_channels=512)
    neck = dict(type='GlobalAveragePooling')
    ours = ImageClassifier(backbone=dict(type='ResNet', depth=18), neck=neck, head=head)
    reference.randomise(ours)
    path = tmp_path / 'out.pth'
    conversion = convert(dict(state_dict=ours.state_dict(), meta={}), library)
    assert conversion.taken == dict(backbone=120, classifier=2)
    write_checkpoint(conversion.content, path)
    if library == 'timm':
        theirs = timm.create_model('resnet18', checkpoint_path=path, num_classes=5)
    else:
        theirs = torchvision.models.resnet18(num_classes=5)
        theirs.load_state_dict(torch.load(path, weights_only=True))
    with torch.no_grad():
        expected = ours.head(ours.extract_feat(IMAGES))
        torch.testing.assert_close(theirs.eval()(IMAGES), expected, rtol=0, atol=1e-5)
    back = convert(read_checkpoint(path), 'clsa').content['state_dict']
    assert back.keys() == ours.state_dict().keys()
    assert all(torch.equal(back[name], value) for name, value in ours.state_dict().items())


def test_timm_without_a_classifier_needs_num_classes_0(tmp_path):
    """As docs/checkpoints.md says; timm's loading is strict."""
    path = tmp_path / 'out.pth'
    write_checkpoint(convert(ResNet(18).state_dict(), 'timm').content, path)
    with pytest.raises(RuntimeError, match=r'fc\.weight'):
        timm.create_model('resnet18', checkpoint_path=path)
    assert timm.create_model('resnet18', checkpoint_path=path, num_classes=0).eval()(IMAGES).shape == (2, 512)


def test_what_is_left_out_is_said():
    model = reference.build_clsa(18)
    checkpoint = dict(meta=dict(epoch=1), state_dict=dict(model.state_dict()), optimizer={}, message_hub={})
    checkpoint['state_dict']['rpn_head.weight'] = torch.ones(2)
    conversion = convert(checkpoint, 'timm')
    assert conversion.left_out == dict(neck=4, key_encoder=124, queue=2, other=1, optimizer=0, message_hub=0)
    text = str(conversion)
    assert text.startswith('clsa -> timm: 120 tensors, backbone 120\n')
    assert 'neck 4' in text and 'queue 2' in text and 'other 1, optimizer, message_hub' in text
    assert 'other: rpn_head.weight' in text and 'num_classes=0' in text


def test_moco_v1s_projection_is_left_out_by_name():
    state = {
        f'module.encoder_q.{name}': value
        for name, value in torchvision.models.resnet18().state_dict().items()
    }
    conversion = convert(dict(state_dict=state), 'clsa')
    assert conversion.others == ['encoder_q.fc.weight', 'encoder_q.fc.bias']
    assert set(conversion.taken) == {'backbone'}


@pytest.mark.parametrize('half', [{'queue': torch.ones(16, 8)}, {'queue_ptr': torch.tensor([4])}])
@pytest.mark.parametrize('target', ['clsa', 'official', 'mm'])
def test_half_an_official_queue_is_left_out_by_name(half, target):
    state = {f'encoder_q.{name}': value for name, value in ResNet(18).state_dict().items()}
    conversion = convert(dict(state_dict=state | half), target)
    assert conversion.taken == dict(backbone=120) and conversion.left_out == dict(other=1)
    assert conversion.others == list(half) and f'other: {next(iter(half))}\n' in str(conversion)
    assert not [name for name in conversion.content['state_dict'] if 'queue' in name]
    assert 'num_enqueued' not in conversion.content


@pytest.mark.parametrize('half', ['queue.keys', 'queue.num_enqueued'])
def test_half_a_queue_of_ours_is_left_out_by_name(half):
    state = {f'backbone.{name}': value for name, value in ResNet(18).state_dict().items()}
    conversion = convert(dict(state_dict={**state, half: torch.ones(8, 16)}), 'official')
    assert conversion.taken == dict(backbone=120) and conversion.others == [half]


@pytest.mark.parametrize('target', ['clsa', 'mm'])
def test_an_incomplete_resnet_is_noted(target):
    note = r'NOTE: the backbone is not a complete ResNet known here .* it has conv1\.weight:'
    assert re.search(note, str(convert({'conv1.weight': torch.ones(64, 3, 7, 7)}, target)))
    state = ResNet(50).state_dict()
    assert 'NOTE' not in str(convert(state, target))
    cut = {name: value for name, value in state.items() if not name.startswith('layer4.2.')}
    assert 'not a complete ResNet known here' in str(convert(cut, target))
    assert 'NOTE' not in str(convert(dict(state_dict={'backbone.patch_embed.weight': torch.ones(3)}), target))


def test_a_small_stem_is_noted():
    narrow = dict(stem_channels=8, base_channels=8)
    conversion = convert(ResNet(18, **narrow).state_dict(), 'torchvision')
    assert 'the stem is a 7x7 convolution of 3 channels to 8' in str(conversion)
    assert 'NOTE' not in str(convert(ResNet(18).state_dict(), 'torchvision'))


@pytest.mark.parametrize(
    ('state', 'target', 'source', 'message'),
    [
        (ResNet(18).state_dict(), 'timm', 'official', 'no backbone in the layout of official.*torchvision'),
        (
            ResNet(18).state_dict(),
            'timm',
            'clsa',
            'no backbone in the layout of clsa.*looks like torchvision',
        ),
        ({'patch_embed.weight': torch.ones(1)}, 'timm', None, 'another backbone .patch_embed.*mm instead'),
        (ResNet(18, deep_stem=True).state_dict(), 'detectron2', None, r'plain stem only.*stem\.0\.conv'),
        ({'fc.weight': torch.ones(1)}, 'timm', None, 'no backbone in the layout of mm.*names are fc.weight'),
        ({}, 'mm', None, 'holds no weights'),
    ],
)
def test_what_cannot_be_converted(state, target, source, message):
    with pytest.raises(CheckpointError, match=message):
        convert(state, target, source)


def test_any_backbone_becomes_a_bare_one():
    state = {'backbone.patch_embed.weight': torch.ones(3), 'head.fc.weight': torch.ones(2)}
    assert list(convert(dict(state_dict=state), 'mm').content['state_dict']) == ['patch_embed.weight']


def test_files_are_whole_and_not_replaced(tmp_path):
    path, out = tmp_path / 'in.pth', tmp_path / 'new' / 'out.pth'
    torch.save(ResNet(18).state_dict(), path)
    convert_file(path, out, 'mm')
    before = out.read_bytes()
    with pytest.raises(FileExistsError, match='out.pth exists; give --force'):
        convert_file(path, out, 'timm')
    with pytest.raises((pickle.PicklingError, AttributeError)):  # in the middle of writing
        write_checkpoint(dict(a=torch.ones(9), b=lambda: 0), out)
    assert out.read_bytes() == before and list(out.parent.iterdir()) == [out]
    convert_file(path, out, 'timm', force=True)
    assert 'conv1.weight' in torch.load(out, weights_only=True)
    with pytest.raises(CheckpointError, match=r'a detectron2 file has to end in \.pkl'):
        convert_file(path, tmp_path / 'a.pth', 'detectron2')
    with pytest.raises(CheckpointError, match=r'a timm file has to end in \.pth'):
        convert_file(path, tmp_path / 'a.pkl', 'timm')
    with pytest.raises(FileNotFoundError, match='no checkpoint file'):
        convert_file(tmp_path / 'none.pth', tmp_path / 'a.pth', 'timm')
    with pytest.raises(FileNotFoundError, match='new is a folder, not a checkpoint file; name a file in it'):
        convert_file(out.parent, tmp_path / 'a.pth', 'timm')


@pytest.mark.parametrize('name', ['a.pth', 'a.pkl'])
def test_a_full_disk_leaves_nothing(name, tmp_path, small_files):
    with pytest.raises(OSError, match=rf'{name} cannot be written: .*File too large.*another path'):
        write_checkpoint(dict(a=np.ones(100_000)), tmp_path / 'new' / 'folder' / name)
    assert list(tmp_path.iterdir()) == []


def test_exports_hold_tensors_and_plain_data(tmp_path):
    """Whatever the source held beside them."""
    state = dict(ResNet(18).state_dict())
    meta = dict(cfg='a = 1', epoch=argparse.Namespace(), iter=5)
    source = dict(state_dict=state, meta=meta, args=argparse.Namespace())
    for target in ('mm', 'clsa', 'official', 'timm'):
        path = tmp_path / 'a.pth'
        write_checkpoint(convert(source, target).content, path)
        content = torch.load(path, weights_only=True)
        assert len(backbone_state_dict(content)) == len(state)
        if target in ('mm', 'clsa'):
            assert content['meta'] == dict(cfg='a = 1', iter=5, clsa_mm_version=clsa_mm.__version__)
