"""Views of an image: settings, crops, recipes and strong operations."""

from clsa_mm.datasets.views.infomin import InfoMinRecipe
from clsa_mm.datasets.views.recipes import RECIPES
from clsa_mm.datasets.views.settings import ROLES, RoleSettings, View, build_views
from clsa_mm.datasets.views.strong_ops import STRONG_OPS
from clsa_mm.datasets.views.strong_policy import StrongPolicy

__all__ = [
    'RECIPES',
    'ROLES',
    'STRONG_OPS',
    'InfoMinRecipe',
    'RoleSettings',
    'StrongPolicy',
    'View',
    'build_views',
]
