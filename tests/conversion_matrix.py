"""Each layout's features in its own library, and the differences after every conversion.

python tests/conversion_matrix.py [DEPTH ...]     # prints maximum absolute differences, all against all
"""

import pickle
import sys
import tempfile
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
import torchvision
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.models import ResNet
from torch import nn

import clsa_mm  # noqa: F401  registers everything
from clsa_mm.checkpoints import FORMATS, convert_file
from clsa_mm.models import CLSA

DEPTHS = (18, 34, 50, 101)
SUFFIX = dict.fromkeys(FORMATS, '.pth') | dict(detectron2='.pkl', official='.pth.tar')


def build_clsa(depth: int, base: int = 64) -> CLSA:
    width = base * (8 if depth < 50 else 32)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(
            dict(
                type='CLSA',
                backbone=dict(type='ResNet', depth=depth, stem_channels=base, base_channels=base),
                neck=dict(type='MoCoV2Neck', in_channels=width, hid_channels=width, out_channels=16),
                queue_len=24,
                feat_dim=16,
            )
        )


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and statistics without two alike, and outputs of the order of 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            value.fill_(7)
        elif name.endswith('running_var') or value.dim() == 1 and 'weight' in name:
            value.uniform_(0.5, 0.9, generator=generator)
        elif value.dim() == 1:
            value.normal_(0, 0.1, generator=generator)
        else:
            value.normal_(0, value[0].numel() ** -0.5, generator=generator)
    module.eval()  # mmpretrain's do not return themselves
    return module


class Official(nn.Module):
    """The authors' (and MoCo's) model as far as its state dict and its queries go."""

    def __init__(self, depth: int, dim: int = 16, length: int = 24) -> None:
        super().__init__()
        for name in ('encoder_q', 'encoder_k'):
            encoder = getattr(torchvision.models, f'resnet{depth}')(num_classes=dim)
            width = encoder.fc.in_features
            encoder.fc = nn.Sequential(nn.Linear(width, width), nn.ReLU(), encoder.fc)
            setattr(self, name, encoder)
        self.register_buffer('queue', F.normalize(torch.randn(dim, length), dim=0))
        self.register_buffer('queue_ptr', torch.zeros(1, dtype=torch.long))


def trunk(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Feature map of a torchvision ResNet."""
    x = model.maxpool(model.relu(model.bn1(model.conv1(images))))
    return model.layer4(model.layer3(model.layer2(model.layer1(x))))


def detectron2_forward(arrays: dict, images: torch.Tensor) -> torch.Tensor:
    """Feature map by the arrays of a detectron2 file, with STRIDE_IN_1X1 False; BatchNorm's eps is 1e-5."""
    weights = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def conv(x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        kernel = weights[f'{name}.weight']
        x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        norm = [weights[f'{name}.norm.{key}'] for key in ('running_mean', 'running_var', 'weight', 'bias')]
        return F.batch_norm(x, *norm, eps=1e-5)

    x = F.max_pool2d(F.relu(conv(images, 'stem.conv1', 2)), 3, 2, 1)
    for stage in (2, 3, 4, 5):
        block = 0
        while (name := f'res{stage}.{block}') + '.conv1.weight' in weights:
            stride = 2 if stage > 2 and block == 0 else 1
            shortcut = conv(x, f'{name}.shortcut', stride) if f'{name}.shortcut.weight' in weights else x
            if f'{name}.conv3.weight' in weights:
                y = F.relu(conv(x, f'{name}.conv1', 1))
                y = conv(F.relu(conv(y, f'{name}.conv2', stride)), f'{name}.conv3', 1)
            else:
                y = conv(F.relu(conv(x, f'{name}.conv1', stride)), f'{name}.conv2', 1)
            x = F.relu(y + shortcut)
            block += 1
    return x


@torch.no_grad()
def features(layout: str, path: Path, depth: int, images: torch.Tensor) -> torch.Tensor:
    """Feature map (N, D, h, w) of a file, by the library that the file is for."""
    if layout == 'detectron2':
        with path.open('rb') as file:
            return detectron2_forward(pickle.load(file)['model'], images)
    if layout == 'timm':
        return (
            timm.create_model(f'resnet{depth}', checkpoint_path=path, num_classes=0)
            .eval()
            .forward_features(images)
        )
    content = torch.load(path, weights_only=True)
    if layout == 'torchvision':
        model = getattr(torchvision.models, f'resnet{depth}')()
        missing = model.load_state_dict(content, strict=False)
        assert set(missing.missing_keys) == {'fc.weight', 'fc.bias'} and not missing.unexpected_keys
        return trunk(model.eval(), images)
    if layout == 'mm':
        model = ResNet(depth=depth)
        model.load_state_dict(content['state_dict'])
        model.eval()
        return model(images)[0]
    if layout == 'clsa':
        model = build_clsa(depth)
        model.load_state_dict(content['state_dict'], strict='queue.keys' in content['state_dict'])
        return model.eval().backbone(images)[0]
    model = nn.ModuleDict(dict(module=Official(depth)))
    report = model.load_state_dict(content['state_dict'], strict=False)
    assert not report.unexpected_keys
    assert not any('encoder_q' in name and '.fc.' not in name for name in report.missing_keys)
    return trunk(model.eval().module.encoder_q, images)


def matrix(depth: int, folder: Path) -> dict[tuple[str, str], float]:
    """Maximum absolute difference to the first model's features, for all pairs of layouts."""
    model = randomise(build_clsa(depth))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model.backbone(images)[0]
    first = folder / 'first.pth'
    torch.save(dict(meta=dict(epoch=3), state_dict=model.state_dict()), first)
    differences = {}
    for source in FORMATS:
        middle = folder / f'middle{SUFFIX[source]}'
        convert_file(first, middle, source, force=True)
        for target in FORMATS:
            last = folder / f'last{SUFFIX[target]}'
            convert_file(middle, last, target, force=True)
            differences[source, target] = float(
                (features(target, last, depth, images) - expected).abs().max()
            )
    return differences


def main() -> None:
    for depth in [int(text) for text in sys.argv[1:]] or DEPTHS:
        with tempfile.TemporaryDirectory() as folder:
            differences = matrix(depth, Path(folder))
        print(f'\nResNet-{depth}, maximum absolute difference of the feature map (rows: from, columns: to)')
        print(f'{"":12}' + ''.join(f'{target:>12}' for target in FORMATS))
        for source in FORMATS:
            row = ''.join(f'{differences[source, target]:12.1e}' for target in FORMATS)
            print(f'{source:12}{row}', flush=True)


if __name__ == '__main__':
    main()
