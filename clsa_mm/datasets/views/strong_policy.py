"""Which strong operations an image undergoes, and with what magnitudes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from clsa_mm.datasets.views.nearest_name import choose
from clsa_mm.datasets.views.ranges import is_number, is_pair
from clsa_mm.datasets.views.strong_ops import STRONG_OPS

Range = tuple[float, float]


class _Row(NamedTuple):
    """An operation's ranges; ``None``: the policy does not have it."""

    paper: Range | None
    official: Range | None
    signed: bool = False  # the official code negates the magnitude of every second application


_NONE: Range = (0.0, 0.0)  # the operation has no magnitude

# paper: Table 1 of arXiv 2104.07713, magnitudes uniform from low to high (bits are whole numbers).
# official: data_processing/RandAugment.py, magnitudes at its levels 0 and 10, of which it draws 1 to 9.
POOL_TABLE: dict[str, _Row] = {
    'ShearX': _Row((-0.3, 0.3), (0.0, 0.3), signed=True),
    'ShearY': _Row((-0.3, 0.3), (0.0, 0.3), signed=True),
    'TranslateX': _Row((-0.3, 0.3), (0.0, 0.3), signed=True),
    'TranslateY': _Row((-0.3, 0.3), (0.0, 0.3), signed=True),
    'Rotate': _Row((-30.0, 30.0), (0.0, 30.0), signed=True),
    'AutoContrast': _Row(_NONE, _NONE),
    'Invert': _Row(_NONE, None),
    'Identity': _Row(None, _NONE),
    'Equalize': _Row(_NONE, _NONE),
    'Solarize': _Row((0.0, 256.0), (256.0, 0.0)),
    'Posterize': _Row((4, 8), (4.0, 8.0)),
    'Contrast': _Row((0.05, 0.95), (0.05, 0.95)),
    'Color': _Row((0.05, 0.95), (0.05, 0.95)),
    'Brightness': _Row((0.05, 0.95), (0.05, 0.95)),
    'Sharpness': _Row((0.05, 0.95), (0.05, 0.95)),
}
POLICIES = ('paper', 'official')


class StrongPolicy:
    """Draws ``num_ops`` operations and applies each with probability ``prob``.

    Args:
        num_ops: Operations drawn per image. Defaults to 5 (paper).
        prob: Probability, in [0, 1], that a drawn operation is applied. Defaults to 0.5 (paper).
        policy: ``'paper'``: the 14 operations of Table 1, magnitudes uniform in its ranges. ``'official'``:
            those of the authors' code, which has Identity in place of Invert and one of nine levels (10 % to
            90 % of the range) in place of a continuous magnitude. Defaults to ``'paper'``.
        ops: Changes to the policy's pool, name -> (low, high): adds an operation registered in
            ``STRONG_OPS``, or changes the range of one; ``None`` in place of a range removes it. Only where
            the policy's own range runs downward (the official Solarize) may a new one. Each operation is
            tried at both ends of its range. Defaults to None: no changes.
        replacement: Whether one operation may be drawn several times for an image (section 3.3 of the paper,
            the official code). If not, the ``num_ops`` operations are distinct, each set and order of them
            equally likely. Defaults to True.

    Raises:
        ValueError: For an argument outside its range, an unknown name or an operation that fails.
    """

    def __init__(
        self,
        num_ops: int = 5,
        prob: float = 0.5,
        policy: str = 'paper',
        ops: Mapping[str, Range | None] | None = None,
        replacement: bool = True,
    ) -> None:
        if isinstance(num_ops, bool) or not isinstance(num_ops, int) or num_ops < 0:
            raise ValueError(f'num_ops must be a whole number >= 0 (the paper uses 5), got {num_ops!r}')
        if not is_number(prob, 1):
            raise ValueError(f'prob must be a number in [0, 1] (the paper uses 0.5), got {prob!r}')
        choose(policy, POLICIES, 'policy')
        self.num_ops = num_ops
        self.prob = prob
        self.policy = policy
        pool = {name: getattr(row, policy) for name, row in POOL_TABLE.items()}
        changes = {} if ops is None else ops
        if not isinstance(changes, Mapping):
            raise ValueError(f'ops must be a dict, name -> (low, high) or None, got {ops!r}')
        for name, limits in changes.items():
            pool[name] = limits if limits is None else _checked(name, limits, pool.get(name))
        self.pool = {name: limits for name, limits in pool.items() if limits is not None}
        if num_ops and not self.pool:
            raise ValueError(f'ops={ops!r} leaves no operation to draw; num_ops=0 switches them off.')
        if not isinstance(replacement, bool):
            raise ValueError(f'replacement must be True (the paper) or False, got {replacement!r}')
        if not replacement and num_ops > len(self.pool):
            raise ValueError(
                f'num_ops={num_ops} distinct operations cannot be drawn from a pool of {len(self.pool)}: '
                'lower num_ops, add operations by `ops`, or set replacement=True'
            )
        self.replacement = replacement
        self._operations = {name: STRONG_OPS.get(name) for name in self.pool}
        self._names = list(self.pool)

    def draw(self, rng: np.random.Generator) -> list[tuple[str, float]]:
        """Draw the operations to apply to one image.

        Args:
            rng: Source of randomness.

        Returns:
            Names and magnitudes, at most ``num_ops``, in order of application.
        """
        drawn, names = [], self._names if self.replacement else self._names.copy()
        for _ in range(self.num_ops):
            place = int(len(names) * rng.random())
            name = names[place] if self.replacement else names.pop(place)
            if rng.random() < self.prob:
                drawn.append((name, self._magnitude(name, rng)))
        return drawn

    def apply(
        self, image: np.ndarray, ops: Sequence[tuple[str, float]], rng: np.random.Generator
    ) -> np.ndarray:
        """Apply operations to an image.

        Args:
            image: uint8 BGR of shape (H, W, 3).
            ops: Names and magnitudes, as from :meth:`draw`.
            rng: What the operations may draw from.

        Returns:
            uint8 BGR of shape (H, W, 3).
        """
        for name, magnitude in ops:
            image = self._operations[name](image, magnitude, rng)
        return image

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw operations and apply them."""
        return self.apply(image, self.draw(rng), rng)

    def __repr__(self) -> str:
        """Show the arguments."""
        pool = ', '.join(f'{name}{limits}' for name, limits in self.pool.items())
        drawn = f'num_ops={self.num_ops}, prob={self.prob}, policy={self.policy!r}'
        return f'StrongPolicy({drawn}, replacement={self.replacement}: {pool})'

    def _magnitude(self, name: str, rng: np.random.Generator) -> float:
        low, high = self.pool[name]
        if self.policy == 'paper':
            if name == 'Posterize':
                return low + int((high - low + 1) * rng.random())
            return low + (high - low) * rng.random()
        magnitude = low + (high - low) * int(1 + 9 * rng.random()) / 10
        signed = name in POOL_TABLE and POOL_TABLE[name].signed
        return -magnitude if signed and rng.random() < 0.5 else magnitude


def _checked(name: str, limits: Any, usual: Range | None) -> Range:
    choose(name, sorted(STRONG_OPS.module_dict), 'ops', 'register an operation of your own in STRONG_OPS')
    if not is_pair(limits):
        raise ValueError(f'ops.{name} must be (low, high), or None to leave it out, got {limits!r}')
    downward = usual is not None and usual[0] > usual[1]
    if limits[0] > limits[1] and not downward:
        raise ValueError(f'ops.{name} must be (low, high) with low <= high, got {limits!r}')
    for magnitude in limits:
        _try(name, magnitude)
    return tuple(limits)


def _try(name: str, magnitude: float) -> None:
    """Run an operation once, so that a wrong one fails before the training starts."""
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    contract = 'it must be fn(image, magnitude, rng) -> image, with uint8 images of shape (H, W, 3)'
    try:
        result = STRONG_OPS.get(name)(image, magnitude, np.random.default_rng(0))
    except Exception as error:
        raise ValueError(
            f'ops.{name} fails at magnitude {magnitude}: {type(error).__name__}: {error}; {contract}'
        ) from error
    kind = f'{result.dtype} {result.shape}' if isinstance(result, np.ndarray) else type(result).__name__
    if kind != f'{image.dtype} {image.shape}':
        raise ValueError(
            f'ops.{name} turns {image.dtype} {image.shape} into {kind} at magnitude {magnitude}; {contract}'
        )
