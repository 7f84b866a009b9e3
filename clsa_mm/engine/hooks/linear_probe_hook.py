"""A linear classifier that learns along, to see what the backbone's features tell of labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.utils import apply_to
from torch import Tensor, nn

from clsa_mm.engine.hooks.finite_guard_hook import iteration_skipped
from clsa_mm.engine.hooks.place import place_of
from clsa_mm.engine.hooks.report import report
from clsa_mm.engine.unwrap import unwrap_model
from clsa_mm.evaluation.features import global_average_pool
from clsa_mm.evaluation.labels import labels_of
from clsa_mm.given_numbers import check_numbers

_IN_CHECKPOINT = 'linear_probe'


@HOOKS.register_module()
class LinearProbeHook(Hook):
    """Trains a linear classifier beside the model, on detached features, and logs its accuracy.

    Features are what the backbone returns in its first forward of an iteration (of CLSA the first weak
    view), pooled and scaled to unit length; no gradient reaches the model, and the training is bit for bit
    that without the hook. Labels are ``gt_label`` of the batch's data samples. After each iteration the
    classifier takes one step of SGD on the cross-entropy, with gradients averaged over ranks.

    Every ``interval`` iterations and at the end of an epoch ``probe/top1`` (percent) and ``probe/loss`` go to
    the log, the message hub and every visualizer back end: means over all images of all ranks since the last
    report, each predicted before the classifier learnt from it. As these are training images, the figure
    compares runs and epochs, and is no test accuracy. Classifier and optimizer are part of the checkpoint; a
    resumed run continues them.

    Args:
        num_classes: Classes; labels are 0 to ``num_classes`` - 1.
        lr: Learning rate, constant. Defaults to 1.0.
        momentum: Of SGD. Defaults to 0.9.
        weight_decay: Of SGD. Defaults to 0.0.
        interval: Iterations between two reports. Defaults to 50.

    Raises:
        ValueError: In training, if a data sample has no label or one that is out of range, or the backbone's
            batch is not the data's; before it, if the checkpoint's classifier has other classes.
        RuntimeError: If the model does not call its backbone.
    """

    def __init__(
        self,
        num_classes: int,
        lr: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        interval: int = 50,
    ) -> None:
        check_numbers('LinearProbeHook', whole=True, num_classes=num_classes, interval=interval)
        check_numbers('LinearProbeHook', low=0, lr=lr, momentum=momentum, weight_decay=weight_decay)
        if num_classes < 2 or interval < 1:
            raise ValueError(
                'LinearProbeHook: num_classes must be at least 2 and interval at least 1, got '
                f'{num_classes} and {interval}'
            )
        self.num_classes = num_classes
        self.interval = interval
        self.settings = dict(lr=lr, momentum=momentum, weight_decay=weight_decay)
        self.classifier: nn.Linear | None = None
        self.optimizer: torch.optim.SGD | None = None
        self._saved: Mapping[str, Any] | None = None
        self._waiting = False
        self._features: Tensor | None = None
        self._sums: Tensor | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the classifier's state."""
        self._saved = checkpoint.get(_IN_CHECKPOINT)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the classifier's state."""
        if self.classifier is not None:
            state = dict(
                classifier=self.classifier.state_dict(),
                optimizer=self.optimizer.state_dict(),
                sums=self._sums,
            )
            checkpoint[_IN_CHECKPOINT] = apply_to(state, lambda x: hasattr(x, 'cpu'), lambda x: x.cpu())

    def before_train(self, runner: Runner) -> None:
        """Listen to the backbone, and continue where a resumed run stood."""
        backbone = getattr(unwrap_model(runner.model), 'backbone', None)
        if backbone is None:
            raise RuntimeError(f'LinearProbeHook: the model has no backbone: take {place_of(self, runner)}')
        if not runner.iter:
            self._saved = None  # a new run from a checkpoint's weights
        elif self._saved is None:
            runner.logger.warning('LinearProbeHook: the checkpoint has no classifier; a new one starts.')
        else:
            weight = self._saved['classifier']['weight']
            if len(weight) != self.num_classes:
                raise ValueError(
                    f'LinearProbeHook: num_classes={self.num_classes}, but the classifier of the checkpoint '
                    f'has {len(weight)}: set num_classes to that.'
                )
            self._build(weight.shape[1], next(backbone.parameters()).device)
        self._handle = backbone.register_forward_hook(self._catch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Wait for the first forward."""
        self._waiting, self._features = True, None

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Learn from the batch, unless the iteration was skipped, and report."""
        self._waiting = False
        if iteration_skipped(runner):
            return
        if self._features is None:
            raise RuntimeError(
                f'LinearProbeHook: {type(unwrap_model(runner.model)).__name__} did not call its backbone in '
                f'this iteration: take {place_of(self, runner)}'
            )
        labels = self._labels((data_batch or {}).get('data_samples'))
        if self.classifier is None:
            self._build(self._features.shape[1], self._features.device)
        self._learn(self._features, labels.to(self._features.device))
        if self.every_n_inner_iters(batch_idx, self.interval) or self.end_of_epoch(
            runner.train_dataloader, batch_idx
        ):
            self._report(runner)

    def after_train(self, runner: Runner) -> None:
        """Let go of the backbone."""
        self._handle.remove()

    @torch.compiler.disable
    def _catch(self, backbone: nn.Module, args: Any, outputs: Tensor | Sequence[Tensor]) -> None:
        if self._waiting:
            self._features = F.normalize(global_average_pool(outputs).detach(), dim=1)
            self._waiting = False

    def _labels(self, samples: Sequence | None) -> Tensor:
        try:
            labels = labels_of(samples)
        except ValueError as error:
            raise ValueError(
                'LinearProbeHook needs one gt_label in each data sample, and the training data gives none '
                '(or several): set train_dataloader.dataset.labels=True, or take the hook out of the config'
            ) from error
        if len(labels) != len(self._features):
            raise ValueError(
                f'LinearProbeHook: the backbone had a batch of {len(self._features)} images in its first '
                f'forward, and the data {len(labels)} labels: the hook needs one view of each image in it'
            )
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise ValueError(
                f'LinearProbeHook: labels run from {labels.min()} to {labels.max()}, but num_classes is '
                f'{self.num_classes}'
            )
        return labels

    def _build(self, dimensions: int, device: torch.device) -> None:
        # Zeros, the same on all ranks; nothing is drawn from the generators of the training.
        self.classifier = nn.utils.skip_init(nn.Linear, dimensions, self.num_classes, device=device)
        for parameter in self.classifier.parameters():
            nn.init.zeros_(parameter)
        self.optimizer = torch.optim.SGD(self.classifier.parameters(), **self.settings)
        if self._saved is not None:
            self.classifier.load_state_dict(self._saved['classifier'])
            self.optimizer.load_state_dict(self._saved['optimizer'])
            self.optimizer.param_groups[0].update(self.settings)
            if (sums := self._saved.get('sums')) is not None:
                self._sums = sums.to(device)
        self._saved = None

    def _learn(self, features: Tensor, labels: Tensor) -> None:
        logits = self.classifier(features)
        loss = F.cross_entropy(logits, labels)
        self.optimizer.zero_grad()
        loss.backward()
        for parameter in self.classifier.parameters():
            all_reduce(parameter.grad, 'mean')
        self.optimizer.step()
        hits = (logits.argmax(dim=1) == labels).sum()
        sums = torch.stack(
            [hits.double(), loss.detach().double() * len(labels), hits.new_tensor(len(labels))]
        )
        all_reduce(sums)
        self._sums = sums if self._sums is None else self._sums + sums

    def _report(self, runner: Runner) -> None:
        hits, loss, number = self._sums.tolist()
        self._sums = None
        scalars = dict(top1=100 * hits / number, loss=loss / number)
        report(runner, 'probe', scalars, step=runner.iter + 1)
        runner.logger.info(
            f'Linear probe  top1: {scalars["top1"]:.2f}  (%)  loss: {scalars["loss"]:.4f}  on {number:.0f} '
            f'training images, after {runner.iter + 1} iterations'
        )
