"""Contrastive Learning with Stronger Augmentations, arXiv 2104.07713."""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmpretrain.models.selfsup.base import BaseSelfSupervisor
from torch import Tensor, nn

from clsa_mm.given_numbers import check_numbers
from clsa_mm.models.bank import Bank
from clsa_mm.models.gather import gather_labels
from clsa_mm.models.labelled_bank import LabelledBank
from clsa_mm.models.losses.precision import at_least_float32
from clsa_mm.models.queues.key_queue import KeyQueue
from clsa_mm.models.selfsup.encode import encode
from clsa_mm.models.selfsup.shuffle_bn import BatchShuffle, has_split_norm
from clsa_mm.models.selfsup.statistics import bank_statistics

VIEW_ROLES = ('key', 'weak', 'strong')
BANKS = ('batch', 'own', 'queue')


@MODELS.register_module()
class CLSA(BaseSelfSupervisor):
    """CLSA, and without strong views MoCo v2.

    :meth:`loss` changes no state of the model. After each iteration ``MomentumQueueHook`` calls
    :meth:`momentum_update` (once per optimizer step) and :meth:`enqueue` (once per iteration).

    Args:
        backbone: Config of the backbone, which returns one feature map, or one vector per image.
        neck: Config of the projection, ``MoCoV2Neck``: global average pooling (of a map; for vectors
            ``with_avg_pool=False``), fc, ReLU, fc.
        head: Config of the head. Defaults to ``dict(type='DDMHead')``.
        queue_len: Keys in the queue, K. Defaults to 65536.
        feat_dim: Dimension of a key, C. Defaults to 128.
        momentum: Share of its old self that the key encoder keeps, ``key = momentum * key +
            (1 - momentum) * query``: the convention of the papers, where OpenMMLab's averaged models would
            say 0.001. Defaults to 0.999.
        bank: ``'batch'``: the keys of the whole global batch and the queue (the official code, and the
            paper's sentence after equation 3). ``'own'``: each query's own key and the queue (the letter of
            equations 1, 3 and 4, and MoCo). ``'queue'``: the queue alone, for heads without a contrastive
            loss (ReSSL). Defaults to ``'batch'``.
        symmetric: Also take the key view as a query, the first weak view as its key, and add the losses of
            this exchange (``--sym`` of the official code). The queue takes the keys of both.
            Defaults to False.
        supervised: Take all keys of a query's label for its positives, in the queue too: SupCon with a
            queue, see :class:`~clsa_mm.models.LabelledBank`. Defaults to False.
        channels_last: Keep images and convolutions in the channels-last memory format, which is faster
            with mixed precision on GPUs. Defaults to False.
        data_preprocessor: Defaults to ``ViewsDataPreprocessor``.
        pretrained: Path of weights to start from.
        init_cfg: OpenMMLab's initialisation config.

    Raises:
        ValueError: If ``momentum`` or ``bank`` are not as above, or ``supervised`` with the queue alone.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict | None = None,
        queue_len: int = 65536,
        feat_dim: int = 128,
        momentum: float = 0.999,
        bank: str = 'batch',
        symmetric: bool = False,
        supervised: bool = False,
        channels_last: bool = False,
        data_preprocessor: dict | nn.Module | None = None,
        pretrained: str | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if not isinstance(data_preprocessor, nn.Module):
            data_preprocessor = {'type': 'ViewsDataPreprocessor', **(data_preprocessor or {})}
        super().__init__(
            backbone=backbone,
            neck=neck,
            head=head or dict(type='DDMHead'),
            pretrained=pretrained,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        check_numbers('CLSA', momentum=momentum)
        if not 0 <= momentum <= 1:
            raise ValueError(f'momentum must be in [0, 1] (0.999 keeps 99.9 %), got {momentum}')
        if bank not in BANKS:
            raise ValueError(f"bank must be 'batch' (CLSA), 'own' (MoCo) or 'queue' (ReSSL), got {bank!r}")
        if supervised and bank == 'queue':
            raise ValueError(
                "supervised=True needs a query's own key in the bank, or a class that the queue lacks has no "
                "positive: set bank to 'batch' or 'own'"
            )
        self.momentum = momentum
        self.bank = bank
        self.symmetric = symmetric
        self.supervised = supervised
        self.queue = KeyQueue(queue_len, feat_dim, labelled=supervised)
        self.key_encoder = nn.Sequential(
            OrderedDict(backbone=copy.deepcopy(self.backbone), neck=copy.deepcopy(self.neck))
        ).requires_grad_(False)
        self._splits = has_split_norm(self.key_encoder)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)
        self._pending_keys: Tensor | None = None
        self._pending_labels: Tensor | None = None

    def loss(
        self, inputs: Mapping[str, list[Tensor]], data_samples: list | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Losses of one batch (Algorithm 1 of the paper up to the update).

        Args:
            inputs: The views by role, normalised images (N, 3, H, W): one ``'key'``, any number of ``'weak'``
                and ``'strong'``. N must be the same on every rank, H and W may differ.
            data_samples: With ``gt_label`` each if ``supervised``, else unused.
            **kwargs: Unused.

        Returns:
            What the head returns, scalars of at least float32, and the statistics of
            :func:`~clsa_mm.models.selfsup.statistics.bank_statistics`, of the first weak view or, where there
            is none, the first strong one.

        Raises:
            ValueError: If the inputs are not views by role, or a label lacks.
            RuntimeError: In training, if the keys of the iteration before were never enqueued.
        """
        _check_views(inputs, self.symmetric)
        self._require_momentum_queue_hook()
        weak = [self.encode_query(view) for view in inputs.get('weak', ())]
        strong = [self.encode_query(view) for view in inputs.get('strong', ())]
        keys, own = self.encode_keys(inputs['key'][0])
        labels = gather_labels(data_samples, keys.device) if self.supervised else None
        bank = self.make_bank(keys, own, labels)
        terms = self.loss_terms(inputs.get('weak', ()), weak, strong, bank)
        statistics = bank_statistics([*weak, *strong][0], bank)
        if self.symmetric:
            images = [*inputs['weak'][1:], inputs['key'][0]]
            turned = [*weak[1:], self.encode_query(images[-1])]
            turned_keys, own = self.encode_keys(inputs['weak'][0])
            bank = self.make_bank(turned_keys, own, labels)
            turned_terms = self.loss_terms(images, turned, strong, bank)
            terms = {name: value + turned_terms[name] for name, value in terms.items()}
            keys = torch.cat([keys, turned_keys])
            labels = torch.cat([labels, labels]) if self.supervised else None
        if self.training:
            self._pending_keys, self._pending_labels = keys, labels
        return {**terms, **statistics}

    def loss_terms(
        self, images: Sequence[Tensor], weak: Sequence[Tensor], strong: Sequence[Tensor], bank: Bank
    ) -> dict[str, Tensor]:
        """The head's terms. A method that makes further queries out of the images adds its own.

        Args:
            images: The weak views, each (N, 3, H, W).
            weak: Their queries, each (N, C).
            strong: Queries of the strong views.
            bank: What the queries are compared with.
        """
        return self.head(weak, strong, bank)

    def make_bank(self, keys: Tensor, own: slice, labels: Tensor | None = None) -> Bank:
        """What the queries of this rank are compared with.

        Args:
            keys: Keys of the whole global batch, shape (N_global, C).
            own: This rank's among them.
            labels: Theirs, shape (N_global,), where the model is supervised. Defaults to None.
        """
        shared = [keys, self.queue.keys] if self.bank == 'batch' else [self.queue.keys]
        own_keys = keys[own][:, None] if self.bank == 'own' else None
        if labels is None:
            return Bank(keys[own], shared, own_keys, holds_positives=self.bank != 'queue')
        shared_labels = [labels, self.queue.labels][-len(shared) :]
        return LabelledBank(keys[own], shared, labels[own], shared_labels, own_keys)

    def encode_query(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> unit-length queries (N, C), at least float32, with gradient."""
        return encode(self, images)

    @torch.no_grad()
    def encode_keys(self, images: Tensor) -> tuple[Tensor, slice]:
        """Keys of the whole global batch, from the key encoder, with BatchNorm shuffled.

        Args:
            images: This rank's key views, shape (N, 3, H, W).

        Returns:
            Unit-length keys (N_global, C) in the order of the ranks, and the slice that is this rank's.
        """
        # The queue's count differs in each iteration and equals on all ranks, also after a resume.
        shuffle = _shuffle(len(images), self.queue, self._splits)
        images = shuffle.shuffle(images).contiguous(memory_format=self.memory_format)
        keys = F.normalize(at_least_float32(self.key_encoder(images)[0]), dim=1)
        return shuffle.gather_unshuffled(keys), shuffle.own

    @torch.no_grad()
    def momentum_update(self, momentum: float | None = None) -> None:
        """Move the key encoder's parameters towards the query encoder's (equation 2 of MoCo).

        Buffers (running statistics of BatchNorm) are the key encoder's own, as in the official code.

        Args:
            momentum: Share that the key encoder keeps, in [0, 1]. Defaults to the model's.
        """
        momentum = self.momentum if momentum is None else momentum
        keys = list(self.key_encoder.parameters())
        queries = [*self.backbone.parameters(), *self.neck.parameters()]
        torch._foreach_mul_(keys, momentum)
        torch._foreach_add_(keys, queries, alpha=1 - momentum)

    def enqueue(self) -> None:
        """Put the keys of the last :meth:`loss` in training mode into the queue."""
        if self._pending_keys is None:
            raise RuntimeError('no keys to enqueue: call loss() first, and enqueue() once after it')
        self.queue.enqueue(self._pending_keys, self._pending_labels)
        self._pending_keys = None

    def discard(self) -> None:
        """Forget the keys of the last :meth:`loss`, as of an iteration that does not count."""
        self._pending_keys = None

    def init_weights(self) -> None:
        """Initialise the query encoder and start the key encoder as its copy."""
        super().init_weights()
        self.key_encoder.backbone.load_state_dict(self.backbone.state_dict())
        self.key_encoder.neck.load_state_dict(self.neck.state_dict())

    def _require_momentum_queue_hook(self) -> None:
        if self.training and self._pending_keys is not None:
            raise RuntimeError(
                'the keys of the last iteration were not enqueued, so neither queue nor key encoder '
                "would ever move: add momentum_queue=dict(type='MomentumQueueHook') to default_hooks (or "
                'call momentum_update() and enqueue() after each step of your own loop)'
            )

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # A file with query weights alone (a pretrained backbone, say) starts both encoders alike.
        if not any(name.startswith(f'{prefix}key_encoder.') for name in state_dict):
            for name in [*state_dict]:
                if name.startswith((f'{prefix}backbone.', f'{prefix}neck.')):
                    state_dict[f'{prefix}key_encoder.{name[len(prefix) :]}'] = state_dict[name]
        super()._load_from_state_dict(state_dict, prefix, *args)


def _check_views(inputs: Mapping[str, list[Tensor]], symmetric: bool) -> None:
    remedy = 'set them in train_dataloader.dataset.views, with PackViews and ViewsDataPreprocessor behind it'
    if not isinstance(inputs, Mapping):
        raise ValueError(
            'CLSA takes views by role, dict(key=[...], weak=[...], strong=[...]), got '
            f'{type(inputs).__name__}: {remedy}'
        )
    numbers = {role: len(views) for role, views in inputs.items()}
    queries = numbers.get('weak', 0) if symmetric else numbers.get('weak', 0) + numbers.get('strong', 0)
    if numbers.get('key') != 1 or not queries or set(numbers) - set(VIEW_ROLES):
        raise ValueError(
            f"CLSA takes one 'key' view and at least one 'weak'{'' if symmetric else ' or strong'} view, got "
            f'{numbers}: {remedy}'
        )


@torch.compiler.disable
def _shuffle(batch_size: int, queue: KeyQueue, splits: bool) -> BatchShuffle:
    return BatchShuffle(batch_size, seed=queue.total, splits=splits)
