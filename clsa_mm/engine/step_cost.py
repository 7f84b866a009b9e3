"""What a training step costs: passes of the encoders and floating-point operations, counted on the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from clsa_mm.datasets.views import ROLES, build_views
from clsa_mm.evaluation.features import global_average_pool
from clsa_mm.models.losses.attention_kernels import plain_path


class Pass(NamedTuple):
    """One view's way through an encoder."""

    size: int
    """Height and width in pixels."""
    backward: bool
    """Whether a backward pass follows the forward."""


@dataclass(frozen=True)
class StepCost:
    """The cost of a training step for one image.

    Args:
        passes: Of the encoders, in the order of the step.
        flops: Floating-point operations of the whole step, a multiplication and an addition being two:
            convolutions, products of matrices and attention over the bank, forward and backward. What goes
            element by element (normalisation, activations, optimizer, moving the key encoder) is left out.
    """

    passes: tuple[Pass, ...]
    flops: int

    def sizes(self, backward: bool) -> list[int]:
        """Sizes in pixels of the views that have a backward pass, or of those that have none."""
        return [view.size for view in self.passes if view.backward == backward]


def step_cost(cfg: Config) -> StepCost:
    """Count one step of a pretraining config on its own model, with an image of random pixels.

    The model is in evaluation mode, as batch norm of a single image has no statistics; the operations that
    are counted are the same.

    Args:
        cfg: A config whose training set has ``views``.

    Returns:
        What the losses of all views and their backward pass cost.

    Raises:
        ValueError: If the config has no views.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    views = build_views(_views(cfg))
    images: dict[str, list[Tensor]] = {
        role: [
            torch.randint(256, (1, 3, view.size, view.size), dtype=torch.uint8)
            for view in views
            if view.role == role
        ]
        for role in ROLES
    }
    sample = DataSample().set_gt_label(0)
    model = MODELS.build(cfg.model).eval()
    batch = model.data_preprocessor(
        dict(inputs={role: given for role, given in images.items() if given}, data_samples=[sample]), True
    )
    passes: list[Pass] = []

    def note(encoder: nn.Module, arguments: tuple[Tensor]) -> None:
        trained = torch.is_grad_enabled() and any(p.requires_grad for p in encoder.parameters())
        passes.extend([Pass(arguments[0].shape[-1], trained)] * len(arguments[0]))

    for module in model.modules():
        if type(module) is type(model.backbone):
            module.register_forward_pre_hook(note)
    gradients = {torch.ops.aten.convolution_backward: _convolution_backward}
    # The counter knows the products alone.
    with plain_path(), FlopCounterMode(display=False, custom_mapping=gradients) as counter:
        losses = model.loss(**batch)
        model.parse_losses(losses)[0].backward()
    return StepCost(tuple(passes), counter.get_total_flops())


def moco_v2_of(cfg: Config) -> Config:
    """MoCo v2 with backbone and key view of another pretraining config, and its projection if it has a queue.

    Its step is one forward of the key encoder, and one forward and backward of the query encoder, at the size
    of the key view.

    Args:
        cfg: A config whose training set has ``views``.

    Returns:
        What :func:`step_cost` needs of a config.

    Raises:
        ValueError: If the config has no views.
    """
    key = _views(cfg).key
    parts = ('backbone', 'neck', 'queue_len', 'feat_dim')
    model = {name: cfg.model[name] for name in parts if name in cfg.model}
    if 'queue_len' not in model:
        init_default_scope(cfg.get('default_scope', 'mmpretrain'))
        backbone = MODELS.build(cfg.model.backbone)
        backbone.eval()
        with torch.no_grad():
            channels = global_average_pool(backbone(torch.zeros(1, 3, key.size, key.size))).shape[1]
        model['neck'] = dict(type='MoCoV2Neck', in_channels=channels, hid_channels=channels, out_channels=128)
    return Config(
        dict(
            default_scope=cfg.get('default_scope', 'mmpretrain'),
            model=dict(model, type='CLSA', bank='own'),
            train_dataloader=dict(dataset=dict(views=dict(key=key, weak=key))),
        )
    )


def epochs_at_equal_compute(epochs: int, reference: StepCost, cost: StepCost) -> int:
    """Epochs that take as many operations as a reference, on the same images.

    Args:
        epochs: Of the reference.
        reference: The cost of its step.
        cost: The cost of the step in question.

    Returns:
        The nearest whole number of epochs, at least 1.
    """
    return max(1, round(epochs * reference.flops / cost.flops))


def _convolution_backward(
    outputs: Sequence[int], inputs: Sequence[int], weights: Sequence[int], *settings: Any, **_: Any
) -> int:
    """Operations of a convolution's backward pass: those of its forward for each of two gradients.

    torch's own formula multiplies those of the weights' gradient by the number of groups.
    """
    _, _, _, _, transposed, _, _, wanted = settings  # wanted: gradient of the input, the weights, the bias
    return sum(wanted[:2]) * conv_flop_count(inputs, weights, outputs, transposed)


def _views(cfg: Config) -> dict:
    views = cfg.train_dataloader.dataset.get('views')
    if not views:
        raise ValueError(
            'train_dataloader.dataset has no views, so the cost of a step is not known: take a pretraining '
            'config such as configs/clsa_r50_8xb32_200e.py'
        )
    return views
