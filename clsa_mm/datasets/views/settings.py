"""The dictionary of views: what a config says, checked, and turned into views."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from clsa_mm.datasets.views.crop import draw_box, resize_box
from clsa_mm.datasets.views.nearest_name import choose
from clsa_mm.datasets.views.ranges import is_range
from clsa_mm.datasets.views.recipes import RECIPES
from clsa_mm.datasets.views.strong_policy import StrongPolicy

ROLES = ('key', 'weak', 'strong')
"""In the order of a sample's views. The key view feeds the momentum encoder, the others the trained one."""

Range = tuple[float, float]


@dataclass(frozen=True)
class RoleSettings:
    """The settings of one role's views.

    Args:
        size: Height and width in pixels; a list has one per view.
        area: Range, in (0, 1], of the crop's share of the image; a list has one range per view.
        num_views: Number of views. Defaults to 1.
        ratio: Range of the crop's width divided by its height. Defaults to (3/4, 4/3).
        recipe: ``type``, a name in ``RECIPES``, and the recipe's arguments. Defaults to MoCo v2's.
        num_ops: Strong operations drawn per view. Defaults to 0.
        prob: Probability of each. Defaults to 0.5.
        policy: ``'paper'`` or ``'official'``. Defaults to ``'paper'``.
        ops: Changes to the policy's pool; see :class:`StrongPolicy`. Defaults to none.
        replacement: Whether an operation may be drawn several times per view. Defaults to True.
    """

    size: int | Sequence[int]
    area: Range | Sequence[Range]
    num_views: int = 1
    ratio: Range = (3 / 4, 4 / 3)
    recipe: Mapping[str, Any] = field(default_factory=lambda: {'type': 'mocov2'})
    num_ops: int = 0
    prob: float = 0.5
    policy: str = 'paper'
    ops: Mapping[str, Range | None] | None = None
    replacement: bool = True


class View:
    """Makes one view of an image: crop, recipe, strong operations.

    Args:
        role: ``'key'``, ``'weak'`` or ``'strong'``.
        size: Height and width in pixels.
        area: Range of the crop's share of the image.
        settings: The other settings.
    """

    def __init__(self, role: str, size: int, area: Range, settings: RoleSettings) -> None:
        self.role = role
        self.size = size
        self.area = area
        self.ratio = settings.ratio
        if not isinstance(settings.recipe, Mapping):
            raise ValueError(
                f"views.{role}.recipe must be a dict such as dict(type='mocov2'), got {settings.recipe!r}"
            )
        recipe = dict(settings.recipe)
        kind = choose(recipe.pop('type', 'mocov2'), RECIPES.module_dict, f'views.{role}.recipe.type')
        for name in recipe:
            choose(name, inspect.signature(RECIPES.get(kind)).parameters, f'views.{role}.recipe')
        self.recipe = RECIPES.get(kind)(**recipe)
        self.strong = StrongPolicy(
            settings.num_ops, settings.prob, settings.policy, settings.ops, settings.replacement
        )

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Make the view.

        Args:
            image: uint8 BGR of shape (H, W, 3); not changed.
            rng: Source of randomness.

        Returns:
            uint8 BGR of shape (size, size, 3).
        """
        box = draw_box(*image.shape[:2], self.area, self.ratio, rng)
        return self.strong(self.recipe(resize_box(image, box, self.size), rng), rng)

    def __repr__(self) -> str:
        """Show the settings."""
        crop = f'{self.role} {self.size}x{self.size}, area={self.area}, ratio={self.ratio}'
        return f'{crop}, {self.recipe}, {self.strong}'


def build_views(views: Mapping[str, Mapping[str, Any]]) -> list[View]:
    """Check a dictionary of views and build them.

    Args:
        views: Role -> settings; see :class:`RoleSettings`. Exactly one key view, at least one weak or
            strong view. What is given for a role without views is checked, too.

    Returns:
        The views, in the order of ``ROLES``.

    Raises:
        ValueError: An unknown role or setting, a missing one, or a value that cannot be.
    """
    if not isinstance(views, Mapping):
        raise ValueError(f'views must be a dict of roles, dict(key=..., weak=...), got {views!r}')
    for role, given in views.items():
        choose(role, ROLES, 'views')
        if not isinstance(given, Mapping):
            raise ValueError(
                f'views.{role} must be a dict of settings, got {given!r}; num_views=0 switches a role off.'
            )
    counts = {role: views[role].get('num_views', 1) if role in views else 0 for role in ROLES}
    for role, count in counts.items():
        if not _is_whole(count, 0):
            raise ValueError(f'views.{role}.num_views must be a whole number >= 0, got {count!r}')
    if counts['key'] != 1:
        raise ValueError(
            f'views.key.num_views is {counts["key"]}, but there must be exactly one key view: '
            'every other view is compared with it.'
        )
    if not counts['weak'] + counts['strong']:
        raise ValueError(
            'views.weak.num_views and views.strong.num_views are 0: there is nothing to compare with the key.'
        )
    return [view for role in ROLES if role in views for view in _build_role(role, views[role])]


def _build_role(role: str, given: Mapping[str, Any]) -> list[View]:
    for name in given:
        choose(name, [f.name for f in fields(RoleSettings)], f'views.{role}')
    if given.get('num_views') == 0:  # then these two may be missing
        given = dict(size=1, area=(1.0, 1.0)) | dict(given)
    missing = [name for name in ('size', 'area') if name not in given]
    if missing:
        raise ValueError(f'views.{role} lacks {" and ".join(missing)}, such as size=224, area=(0.2, 1.0).')
    settings = RoleSettings(**given)
    sizes = _per_view(settings.size, _is_whole(settings.size, 1), settings.num_views, f'views.{role}.size')
    areas = _per_view(settings.area, not _is_nested(settings.area), settings.num_views, f'views.{role}.area')
    for size in sizes:
        if not _is_whole(size, 1):
            raise ValueError(f'views.{role}.size must be a whole number of pixels >= 1, got {size!r}')
    for area in areas:
        if not is_range(area) or area[1] > 1:
            raise ValueError(f'views.{role}.area must be (low, high), 0 < low <= high <= 1, got {area!r}')
    if not is_range(settings.ratio):
        raise ValueError(f'views.{role}.ratio must be (low, high), 0 < low <= high, got {settings.ratio!r}')
    # A role without views is built as well, which checks its settings.
    views = [View(role, size, tuple(area), settings) for size, area in zip(sizes, areas, strict=False)]
    return views[: settings.num_views]


def _per_view(value: Any, is_single: bool, count: int, name: str) -> list:
    if is_single or not isinstance(value, Sequence):
        return [value] * max(count, 1)
    if count and len(value) != count:
        raise ValueError(
            f'{name}={value!r} has {len(value)} entries for num_views={count}; give one or one per view.'
        )
    return list(value)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Sequence) and any(isinstance(entry, Sequence) for entry in value)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
