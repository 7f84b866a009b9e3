"""DDM beside the loss of any two-view algorithm of mmpretrain."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather
from mmengine.registry import MODELS
from torch import Tensor, nn

from clsa_mm.models.bank import Bank
from clsa_mm.models.losses.precision import at_least_float32
from clsa_mm.models.selfsup.statistics import bank_statistics


class WithDDM:
    """Adds strong views and DDM to an algorithm of mmpretrain, whose own loss stays as it is.

    A mixin: ``class SimCLRWithDDM(WithDDM, SimCLR)``. The algorithm gets the key view and the weak ones as
    the list of views that it expects. What its modules return meanwhile is caught, so that nothing is
    computed twice; of it a subclass makes the weak view's queries and the bank (:meth:`queries_and_bank`),
    and says how a strong view becomes queries (:meth:`embed`). No parameter is added: the state dict is the
    algorithm's.

    Args:
        ddm: Config of a :class:`~clsa_mm.models.DDMHead`, with ``contrastive_weight=0`` by default.
        **kwargs: The algorithm's.

    Raises:
        ValueError: If ``ddm`` has a contrastive loss of its own.
    """

    watched: ClassVar[tuple[str, ...]] = ('neck',)
    """Names of the modules whose outputs :meth:`queries_and_bank` gets."""

    loss_name: ClassVar[str] = 'loss_contrastive'
    """Name of the algorithm's loss; under mmpretrain's, ``loss``, the log has the sum of all terms."""

    def __init__(self, ddm: dict, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ddm = MODELS.build({'type': 'DDMHead', 'contrastive_weight': 0.0, **ddm})
        if self.ddm.contrastive_weight:
            raise ValueError(
                f'model.ddm.contrastive_weight is {self.ddm.contrastive_weight}, but {type(self).__name__} '
                'has a loss of its own: leave it out'
            )

    def queries_and_bank(self, *outputs: list[Tensor]) -> tuple[Tensor, Bank]:
        """What teaches the strong views.

        Args:
            *outputs: For each module of ``watched`` what it returned, in the order of its calls.

        Returns:
            Unit-length queries of the weak view, shape (N, C), and the bank.
        """
        raise NotImplementedError

    def embed(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> features (N, C) of the kind of the weak view's queries."""
        return self.neck(self.backbone(images))[0]

    def num_plain_views(self) -> int:
        """Number of views that the algorithm itself takes: the key view and the weak ones."""
        return 2

    @torch.compiler.disable  # which does not call the hooks that catch the outputs
    def loss(
        self, inputs: Mapping[str, list[Tensor]], data_samples: list | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Losses of one batch.

        Args:
            inputs: The views by role, normalised images (N, 3, H, W): one ``'key'``, the ``'weak'`` ones that
                the algorithm needs, and any number of ``'strong'``. N must be the same on every rank.
            data_samples: As the algorithm takes them.
            **kwargs: Likewise.

        Returns:
            The algorithm's loss under ``loss_name``, ``loss_ddm`` where there are strong views, and the
            statistics of :func:`~clsa_mm.models.selfsup.statistics.bank_statistics`.

        Raises:
            ValueError: If the inputs are not these views.
        """
        self._check_views(inputs)
        with _outputs_of([self.get_submodule(name) for name in self.watched]) as outputs:
            terms = super().loss([*inputs['key'], *inputs['weak']], data_samples, **kwargs)
        terms = {self.loss_name if name == 'loss' else name: value for name, value in terms.items()}
        weak, bank = self.queries_and_bank(*outputs)
        strong = [unit_length(self.embed(view)) for view in inputs.get('strong', ())]
        if strong:
            terms |= self.ddm([weak], strong, bank)
        return terms | bank_statistics(weak, bank)

    def _check_views(self, inputs: Mapping[str, list[Tensor]]) -> None:
        numbers = (
            {role: len(views) for role, views in inputs.items()} if isinstance(inputs, Mapping) else None
        )
        weak = self.num_plain_views() - 1
        if numbers is None or (numbers.get('key'), numbers.get('weak')) != (1, weak):
            raise ValueError(
                f'{type(self).__name__} takes views by role, one key and {weak} weak, got '
                f'{numbers or type(inputs).__name__}: set train_dataloader.dataset.views, and take as_list '
                'out of model.data_preprocessor (a ViewsDataPreprocessor)'
            )


def unit_length(features: Tensor) -> Tensor:
    """Features (N, C) -> unit length, at least float32."""
    return F.normalize(at_least_float32(features), dim=1)


def batch_bank(keys: Tensor) -> Bank:
    """The bank of an algorithm without a queue: its keys of the global batch, without gradient.

    Args:
        keys: This rank's, shape (N, C), of any length; one belongs to each sample.
    """
    keys = unit_length(keys.detach())
    return Bank(keys, [torch.cat(all_gather(keys))])


@contextmanager
def _outputs_of(modules: Sequence[nn.Module]) -> Iterator[list[list[Tensor]]]:
    """Collect what modules return, of a tuple its first entry."""
    outputs: list[list[Tensor]] = [[] for _ in modules]
    handles = [
        module.register_forward_hook(
            lambda _, __, output, kept=kept: kept.append(output[0] if isinstance(output, tuple) else output)
        )
        for module, kept in zip(modules, outputs, strict=True)
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
