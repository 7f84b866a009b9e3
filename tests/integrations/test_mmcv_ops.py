"""The stand-in for mmcv's compiled operations, against slow loops and the compiled ones."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch

from clsa_mm.integrations.mmcv_ops import MMCVOps, install_mmcv_ops

install_mmcv_ops()

import mmcv  # noqa: E402
import mmcv._ext as ext  # noqa: E402
import mmcv.ops  # noqa: E402

STAND_IN = MMCVOps('a test')
only_stand_in = pytest.mark.skipif(
    not isinstance(ext, MMCVOps),
    reason="mmcv's operations are compiled here, so no stand-in is in their place",
)


def slow_nms(boxes, scores, threshold, offset, classes=None):
    """Greedy suppression, box by box, in float64."""
    boxes, scores = boxes.double().numpy(), scores.double().numpy()
    kept = []
    for i in np.argsort(-scores, kind='stable'):
        for j in kept:
            if classes is not None and classes[i] != classes[j]:
                continue
            sides = np.minimum(boxes[i, 2:], boxes[j, 2:]) - np.maximum(boxes[i, :2], boxes[j, :2]) + offset
            inter = max(sides[0], 0) * max(sides[1], 0)
            areas = [(b[2] - b[0] + offset) * (b[3] - b[1] + offset) for b in (boxes[i], boxes[j])]
            if inter > threshold * (sum(areas) - inter):
                break
        else:
            kept.append(i)
    return kept


def bilinear(image, y, x):
    """Value of (C, H, W) at a point; 0 more than a pixel outside, the border's value within it."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return image.new_zeros(image.shape[0])
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    top = image[:, y0, x0] * (1 - x + x0) + image[:, y0, x1] * (x - x0)
    bottom = image[:, y1, x0] * (1 - x + x0) + image[:, y1, x1] * (x - x0)
    return top * (1 - y + y0) + bottom * (y - y0)


def slow_roi_align(features, rois, size, scale, sampling_ratio, aligned):
    """Mask R-CNN's RoIAlign sample by sample; differentiable by autograd."""
    pooled = []
    for index, *box in rois.tolist():
        x1, y1, x2, y2 = (v * scale - 0.5 * aligned for v in box)
        sides = (y2 - y1, x2 - x1) if aligned else (max(y2 - y1, 1), max(x2 - x1, 1))
        bins = [side / number for side, number in zip(sides, size, strict=True)]
        numbers = [sampling_ratio or int(np.ceil(length)) for length in bins]
        for i, j in itertools.product(range(size[0]), range(size[1])):
            samples = [
                bilinear(
                    features[int(index)],
                    y1 + (i + (k + 0.5) / numbers[0]) * bins[0],
                    x1 + (j + (m + 0.5) / numbers[1]) * bins[1],
                )
                for k, m in itertools.product(range(numbers[0]), range(numbers[1]))
            ]
            pooled.append(torch.stack(samples).mean(0))
    return torch.stack(pooled).view(len(rois), *size, -1).permute(0, 3, 1, 2)


def random_boxes(number, generator):
    corners = 30 * torch.rand(number, 2, generator=generator)
    sides = 10 + 20 * torch.rand(number, 2, generator=generator)
    return torch.cat([corners, corners + sides], dim=1)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@only_stand_in
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.1, 0.5, 0.7])
def test_nms_keeps_what_a_loop_keeps(generator, offset, threshold):
    boxes, scores = random_boxes(200, generator), torch.rand(200, generator=generator)
    dets, kept = mmcv.ops.nms(boxes, scores, threshold, offset=offset)
    assert kept.tolist() == slow_nms(boxes, scores, threshold, offset)
    assert 1 < len(kept) < 190
    assert torch.equal(dets, torch.cat([boxes, scores[:, None]], dim=1)[kept])
    assert kept.dtype == torch.int64


@only_stand_in
def test_offset_counts_the_last_pixel():
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 5, 9, 14]])  # IoU 36 / 126; with the last pixel 50 / 150
    scores = torch.tensor([0.9, 0.8])
    assert mmcv.ops.nms(boxes, scores, 0.3)[1].tolist() == [0, 1]
    assert mmcv.ops.nms(boxes, scores, 0.3, offset=1)[1].tolist() == [0]


@only_stand_in
@pytest.mark.parametrize('threshold', [0.2, 0.3, 0.6, 0.7, 0.9])
def test_an_iou_equal_to_the_threshold_is_kept(threshold):
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10 * threshold]])
    assert len(mmcv.ops.nms(boxes, torch.tensor([0.9, 0.8]), threshold)[1]) == 2


@only_stand_in
def test_nms_of_equal_scores_and_of_nothing():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [20, 20, 30, 29]])
    _, kept = mmcv.ops.nms(boxes, torch.full((4,), 0.5), 0.5)
    assert kept.tolist() == [0, 2]
    dets, kept = mmcv.ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5, offset=1)
    assert dets.shape == (0, 5)
    assert kept.shape == (0,)


@only_stand_in
def test_nms_limits_and_numpy(generator):
    boxes, scores = random_boxes(50, generator), torch.rand(50, generator=generator)
    expected = [i for i in slow_nms(boxes, scores, 0.3, 0) if scores[i] > 0.4][:5]
    dets, kept = mmcv.ops.nms(boxes.numpy(), scores.numpy(), 0.3, score_threshold=0.4, max_num=5)
    assert kept.tolist() == expected
    assert isinstance(dets, np.ndarray)


@only_stand_in
@pytest.mark.parametrize('split_thr', [10000, 20])
def test_batched_nms_works_class_by_class(generator, split_thr):
    boxes, scores = random_boxes(120, generator), torch.rand(120, generator=generator)
    classes = torch.randint(3, (120,), generator=generator)
    cfg = dict(type='nms', iou_threshold=0.3, split_thr=split_thr)
    dets, kept = mmcv.ops.batched_nms(boxes, scores, classes, cfg)
    assert kept.tolist() == slow_nms(boxes, scores, 0.3, 0, classes.tolist())
    assert torch.equal(dets[:, 4], scores[kept])


@only_stand_in
def test_nms_of_mixed_precision(generator):
    boxes, scores = random_boxes(60, generator), torch.rand(60, generator=generator).half()
    assert mmcv.ops.nms(boxes, scores, 0.3)[1].tolist() == slow_nms(boxes, scores, 0.3, 0)
    assert mmcv.ops.nms(boxes.half(), scores, 0.3)[1].tolist() == slow_nms(boxes.half(), scores, 0.3, 0)


ROIS = torch.tensor(
    [
        [0, 4.0, 6.0, 37.0, 29.0],
        [1, -9.0, -3.0, 12.0, 70.0],  # reaches outside
        [1, 20.0, 20.0, 20.5, 20.5],  # smaller than a feature pixel
        [0, 200.0, 10.0, 230.0, 30.0],  # outside
    ],
    dtype=torch.float64,
)


@only_stand_in
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('scale', [0.25, 1 / 16])
def test_roi_align_values_and_gradients(generator, aligned, sampling_ratio, scale):
    features = torch.randn(2, 3, 11, 13, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(4, 3, 3, 2, dtype=torch.float64, generator=generator)
    pooled = mmcv.ops.RoIAlign((3, 2), scale, sampling_ratio, aligned=aligned)(features, ROIS)
    expected = slow_roi_align(features, ROIS, (3, 2), scale, sampling_ratio, aligned)
    torch.testing.assert_close(pooled, expected, rtol=0, atol=1e-9)
    gradients = [torch.autograd.grad((x * weight).sum(), features)[0] for x in (pooled, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-9)
    assert pooled[:3].detach().abs().amax(dim=(1, 2, 3)).min() > 0


@only_stand_in
def test_roi_align_in_half_precision_places_regions_in_float32(generator):
    features = torch.randn(1, 2, 40, 80, generator=generator).bfloat16().requires_grad_()
    rois = torch.tensor([[0, 100.0, 52.0, 212.0, 140.0]])  # exact in bfloat16
    pooled = mmcv.ops.RoIAlign(7, 0.25)(features, rois.bfloat16())
    expected = mmcv.ops.RoIAlign(7, 0.25)(features.detach().float(), rois)
    assert torch.equal(pooled, expected.bfloat16())
    pooled.sum().backward()
    assert features.grad.dtype == torch.bfloat16


@only_stand_in
def test_roi_align_without_regions(generator):
    features = torch.randn(1, 2, 8, 8, generator=generator, requires_grad=True)
    pooled = mmcv.ops.RoIAlign(7, 0.25)(features, torch.zeros(0, 5))
    assert pooled.shape == (0, 2, 7, 7)
    pooled.sum().backward()
    assert not features.grad.any()


@only_stand_in
def test_other_operations_name_themselves_and_the_remedy():
    boxes = torch.tensor([[0.0, 0, 4, 4]])
    with pytest.raises(
        RuntimeError, match=r'softnms needs its compiled operations.*make ops.*MMCV_WITH_OPS=1'
    ):
        mmcv.ops.soft_nms(boxes, torch.tensor([0.5]))
    with pytest.raises(RuntimeError, match="pool_mode='max' needs.*use 'avg'.*make ops"):
        mmcv.ops.RoIAlign(2, pool_mode='max')(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5))
    assert not hasattr(ext, '__path__')
    assert mmcv.ops.get_compiler_version() == 'none (torchvision in its place)'
    assert mmcv.utils.collect_env()['MMCV CUDA Compiler'] == 'none (torchvision in its place)'


@only_stand_in
def test_installing_again_keeps_the_module():
    install_mmcv_ops()
    assert sys.modules['mmcv._ext'] is ext is mmcv._ext


COMPILED = pytest.mark.skipif(
    isinstance(ext, MMCVOps), reason="mmcv's operations are not compiled here; `make ops` compiles them"
)


@COMPILED
@pytest.mark.parametrize('offset', [0, 1])
def test_nms_equals_the_compiled_one(generator, offset):
    for number in (0, 1, 500):
        boxes = 8 * random_boxes(number, generator)
        boxes = torch.cat([boxes, boxes.round()])
        # No equal scores: the compiled operation leaves open which of them comes first.
        scores = torch.randperm(2 * number, generator=generator) / 1000
        for threshold in (0.3, 0.5, 0.7):
            ours = STAND_IN.nms(boxes, scores, iou_threshold=threshold, offset=offset)
            assert ours.tolist() == ext.nms(boxes, scores, iou_threshold=threshold, offset=offset).tolist()


@COMPILED
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_roi_align_equals_the_compiled_one(generator, aligned, sampling_ratio, record_testsuite_property):
    features = torch.randn(2, 8, 50, 60, generator=generator)
    boxes = 4 * random_boxes(64, generator) - 20
    rois = torch.cat([torch.randint(2, (64, 1), generator=generator), boxes], dim=1)
    settings = dict(
        aligned_height=7,
        aligned_width=7,
        spatial_scale=0.25,
        sampling_ratio=sampling_ratio,
        pool_mode=1,
        aligned=aligned,
    )
    grad = torch.randn(64, 8, 7, 7, generator=generator)
    unused = features.new_zeros(0)
    results = []
    for module in (STAND_IN, ext):
        output, grad_input = torch.zeros_like(grad), torch.zeros_like(features)
        module.roi_align_forward(features, rois, output, unused, unused, **settings)
        module.roi_align_backward(grad, rois, unused, unused, grad_input, **settings)
        results.append((output, grad_input))
    for name, ours, theirs in zip(('values', 'gradients'), *results, strict=True):
        record_testsuite_property(
            f'largest difference of {name}, {aligned=}, {sampling_ratio=}', (ours - theirs).abs().max().item()
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def run_python(code):
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_only_the_integration_brings_the_stand_in_and_detection_then_imports():
    """In another process, as this one has imported the integration."""
    run_python(
        """if True:
        import sys
        import clsa_mm
        unwanted = {'mmselfsup', 'mmcls', 'clsa_mm.integrations.mmdet', 'clsa_mm.integrations.mmcv_ops'}
        # Compiled operations may be there, a stand-in may not.
        if type(sys.modules.get('mmcv._ext')).__name__ != 'module':
            unwanted.add('mmcv._ext')
        assert not unwanted & set(sys.modules)
        import clsa_mm.integrations
        assert not unwanted & set(sys.modules)
        from mmengine.config import Config
        Config(dict(custom_imports=dict(imports=['clsa_mm.integrations.mmdet'])))
        import clsa_mm.integrations.mmdet
        from mmengine.registry import MODELS, init_default_scope
        init_default_scope('mmdet')
        model = MODELS.build(dict(type='RPNHead', in_channels=4, num_classes=1,
            anchor_generator=dict(type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[4])))
        assert type(model).__module__.startswith('mmdet.')
        """
    )


@pytest.mark.parametrize('before', [True, False])
def test_detection_has_its_operations_whatever_was_imported_before(before):
    """clsa_mm imports mmpretrain, and mmselfsup mmcls: both import what they can of mmdet."""
    code = 'import clsa_mm; '
    if before:
        code += 'from clsa_mm.integrations.mmcv_ops import install_mmcv_ops; install_mmcv_ops(); '
    code += (
        'import clsa_mm.integrations.mmselfsup, clsa_mm.integrations.mmdet; '
        'from mmdet.models.dense_heads import rpn_head; print(rpn_head.batched_nms.__module__)'
    )
    assert run_python(code).splitlines()[-1] == 'mmcv.ops.nms'


@only_stand_in
def test_each_log_tells_once(capfd):
    from mmengine.logging import MMLogger

    module = MMCVOps('a reason')
    boxes, scores = torch.zeros(1, 4), torch.zeros(1)
    for name in ('first run', 'first run', 'second run'):
        MMLogger.get_instance(name, logger_name=name)
        module.nms(boxes, scores, 0.5, 0)
        module.nms(boxes, scores, 0.5, 0)
    output = ''.join(capfd.readouterr())
    assert (
        output.count('mmcv has no compiled operations (a reason): NMS and RoIAlign run on torchvision') == 2
    )
