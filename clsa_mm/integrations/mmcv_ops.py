"""A stand-in for mmcv's compiled operations that runs what detection needs on torchvision.

mmdet imports ``mmcv.ops``, which fails where mmcv was installed without compiling. The stand-in takes
the place of the compiled module ``mmcv._ext`` and offers NMS and RoIAlign, on the CPU and on GPUs,
with the signatures that mmcv's Python side calls, so ``mmcv.ops.nms``, ``batched_nms`` and
``RoIAlign`` work unchanged. Any other operation raises an error when it is called.
"""

import importlib
import sys
from collections.abc import Callable
from functools import partial, reduce
from importlib.machinery import ModuleSpec
from types import ModuleType

import mmcv
import mmengine.registry
import numpy as np
import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from mmengine.logging import MMLogger
from mmengine.registry import Registry
from torch import Tensor

__all__ = ['MMCVOps', 'install_mmcv_ops']

REMEDY = (
    '`make ops` compiles them into .venv; elsewhere: pip install setuptools==81.0.0 ninja psutil && '
    'MMCV_WITH_OPS=1 pip install --no-cache-dir --no-build-isolation --force-reinstall --no-deps '
    f'onedl-mmcv=={mmcv.__version__}'
)


class MMCVOps(ModuleType):
    """Takes the place of ``mmcv._ext``: NMS and RoIAlign by torchvision, all else an error.

    Args:
        reason: Why the compiled module is not used; told once in each run's log.
    """

    def __init__(self, reason: str) -> None:
        super().__init__('mmcv._ext', doc=__doc__)
        self.__spec__ = ModuleSpec('mmcv._ext', loader=None)  # find_spec fails without one
        self._reason = reason
        self._told: set[str] = set()

    def announce(self) -> None:
        """Tell that the stand-in is in use, once in each log: the console's, and each run's own."""
        logger = MMLogger.get_current_instance()
        if logger.name not in self._told:
            self._told.add(logger.name)
            logger.info(
                f'mmcv has no compiled operations ({self._reason}): '
                f'NMS and RoIAlign run on torchvision. {REMEDY}'
            )

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        return partial(_refuse, name)

    def get_compiler_version(self) -> str:
        """What mmcv reports as the compiler of its operations."""
        return 'none (torchvision in its place)'

    get_compiling_cuda_version = get_compiler_version

    def nms(self, boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
        """Non-maximum suppression.

        Args:
            boxes: x1, y1, x2, y2 in shape (N, 4).
            scores: Shape (N,).
            iou_threshold: A box is dropped if its IoU with a kept, better one is above, in [0, 1].
            offset: 1 if x2 and y2 belong to the box (width x2 - x1 + 1), else 0.

        Returns:
            Indices of the kept boxes, best first, int64 of shape (number kept,). Of equal scores the first
            in order comes first, which mmcv leaves open.
        """
        self.announce()
        dtype = reduce(torch.promote_types, (boxes.dtype, scores.dtype, torch.float32))
        boxes = boxes.to(dtype)
        if offset:
            boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
        # mmcv's threshold is a float32, which decides where an IoU equals the threshold.
        threshold = float(np.float32(iou_threshold))
        return torch.ops.torchvision.nms(boxes, scores.to(dtype), threshold)

    def roi_align_forward(
        self,
        input: Tensor,
        rois: Tensor,
        output: Tensor,
        argmax_y: Tensor,
        argmax_x: Tensor,
        aligned_height: int,
        aligned_width: int,
        spatial_scale: float,
        sampling_ratio: int,
        pool_mode: int,
        aligned: bool,
    ) -> None:
        """RoIAlign (Mask R-CNN, section 3).

        Args:
            input: Features of shape (N, C, H, W).
            rois: Index of the image, x1, y1, x2, y2 in image pixels, shape (R, 5).
            output: Filled in place, shape (R, C, aligned_height, aligned_width).
            argmax_y: Unused, of max pooling.
            argmax_x: Unused, of max pooling.
            aligned_height: Height of a pooled region in bins.
            aligned_width: Width of a pooled region in bins.
            spatial_scale: Feature pixels per image pixel.
            sampling_ratio: Samples per bin and direction; 0 for one per feature pixel.
            pool_mode: 1 for the average of a bin's samples.
            aligned: Whether the centre of the first pixel lies at 0.5.

        Raises:
            RuntimeError: For max pooling (``pool_mode`` 0).
        """
        self.announce()
        _require_average(pool_mode)
        pooled = torch.ops.torchvision.roi_align(
            _widen(input),
            _widen(rois.to(input.dtype)),
            spatial_scale,
            aligned_height,
            aligned_width,
            sampling_ratio,
            aligned,
        )
        output.copy_(pooled)

    def roi_align_backward(
        self,
        grad_output: Tensor,
        rois: Tensor,
        argmax_y: Tensor,
        argmax_x: Tensor,
        grad_input: Tensor,
        aligned_height: int,
        aligned_width: int,
        spatial_scale: float,
        sampling_ratio: int,
        pool_mode: int,
        aligned: bool,
    ) -> None:
        """Gradient of :meth:`roi_align_forward`, which describes the other arguments.

        ``grad_output`` has the shape of its ``output``; ``grad_input``, of the shape of its ``input``,
        is filled in place.
        """
        _require_average(pool_mode)
        grad = torch.ops.torchvision._roi_align_backward(
            _widen(grad_output),
            _widen(rois.to(grad_output.dtype)),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
        grad_input.copy_(grad)


def _widen(tensor: Tensor) -> Tensor:
    """In float32 at least: half precision cannot tell the pixels of a large image apart."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _refuse(name: str, *args, **kwargs) -> None:
    raise RuntimeError(f"mmcv's {name} needs its compiled operations, which are not here. {REMEDY}")


def _require_average(pool_mode: int) -> None:
    if pool_mode != 1:
        raise RuntimeError(
            "RoIAlign with pool_mode='max' needs mmcv's compiled operations; without them use 'avg'. "
            f'{REMEDY}'
        )


def _forget_mmdet() -> None:
    """Make the next import of mmdet a first one.

    mmpretrain imports mmdet where it is installed. Without operations that fails halfway and leaves modules
    behind in which errors stand for the operations.
    """
    for name in [name for name in sys.modules if name.split('.')[0] == 'mmdet']:
        del sys.modules[name]
    for registry in vars(mmengine.registry).values():
        if isinstance(registry, Registry):
            registry.children.pop('mmdet', None)
            for name, module in list(registry.module_dict.items()):
                if module.__module__.split('.')[0] == 'mmdet':
                    del registry.module_dict[name]


def install_mmcv_ops() -> None:
    """Put the stand-in in the place of ``mmcv._ext``, unless the compiled module imports."""
    module = sys.modules.get('mmcv._ext')
    if module is None:
        try:
            importlib.import_module('mmcv._ext')
            return
        except ModuleNotFoundError:
            module = MMCVOps('it was installed without compiling them')
        except ImportError as error:  # compiled for another torch
            module = MMCVOps(f'mmcv._ext does not load: {error}')
        sys.modules['mmcv._ext'] = mmcv._ext = module
        _forget_mmdet()
    if isinstance(module, MMCVOps):
        module.announce()
