"""Several views of one decoded image, each with randomness of its own."""

from collections.abc import Callable, Sequence

from mmcv.transforms import BaseTransform, Compose
from mmengine.registry import TRANSFORMS
from mmpretrain.registry import TRANSFORMS as MMPRETRAIN_TRANSFORMS

from clsa_mm.datasets.views.nearest_name import choose
from clsa_mm.datasets.views.randomness import preserved_generators, seed_generators
from clsa_mm.datasets.views.settings import ROLES


@TRANSFORMS.register_module()
class SeededMultiView(BaseTransform):
    """mmpretrain's ``MultiView`` with reproducible views.

    View ``v`` (counted over all pipelines, from 0) of a sample is made with Python's, NumPy's and
    torch's global generators seeded from ``(seed, epoch, index, v)``, the key that
    :class:`SeededSampler` put into ``results['sample_idx']``. The generators are put back
    afterwards. Without a key they are used as they are, like in ``MultiView``.

    Unlike ``MultiView`` it does not deep-copy ``results`` for every view: a view gets a shallow
    copy of the dict and its own copy of ``results['img']``. The pixels have to be copied because
    crops are views of the array and some transforms (``RandomErasing``) write in place; anything
    else in ``results`` has to be replaced by the inner transforms, not changed in place.

    Required keys: ``img`` (uint8 array of shape (H, W, 3)), ``sample_idx`` (optional). Changed
    key: ``img``, a list of arrays in the order of ``transforms``. Added key, with ``roles``: ``view_roles``.

    Args:
        transforms: One pipeline per kind of view.
        num_views: Number of views of each pipeline; an int where there is only
            one pipeline.
        roles (Sequence[str]): ``'key'``, ``'weak'`` or ``'strong'`` for each view, by which
            :class:`PackViews` packs them. Defaults to (): not named.

    Examples:
        >>> # a key view, two weak views of their own crops and a strong view, in this order
        >>> dict(type='SeededMultiView', num_views=[1, 2, 1], roles=['key', 'weak', 'weak', 'strong'],
        ...      transforms=[key_pipeline, weak_pipeline, strong_pipeline])
    """

    def __init__(
        self,
        transforms: list[list[dict | Callable[[dict], dict]]],
        num_views: int | list[int],
        roles: Sequence[str] = (),
    ) -> None:
        num_views = [num_views] if isinstance(num_views, int) else list(num_views)
        if len(num_views) != len(transforms):
            raise ValueError(
                f'num_views={num_views} has {len(num_views)} numbers for {len(transforms)} '
                'pipelines in `transforms`; give one number of views per pipeline.'
            )
        if any(n < 0 for n in num_views) or sum(num_views) == 0:
            raise ValueError(f'num_views={num_views} must be >= 0 and not all 0.')
        for role in roles:
            choose(role, ROLES, 'roles')
        if roles and len(roles) != sum(num_views):
            raise ValueError(f'roles={list(roles)} names {len(roles)} of {sum(num_views)} views; name each.')
        self.roles = list(roles)
        self.num_views = num_views
        self.pipelines = [Compose([_build(t) for t in pipeline]) for pipeline in transforms]
        self.views = [p for p, n in zip(self.pipelines, num_views, strict=True) for _ in range(n)]

    def transform(self, results: dict) -> dict:
        """Replace ``results['img']`` by the list of its views.

        Args:
            results: Holds the decoded image.

        Returns:
            dict: The same dict.
        """
        if self.roles:
            results['view_roles'] = self.roles
        seed_key = getattr(results.get('sample_idx'), 'seed_key', None)
        if seed_key is None:
            results['img'] = [self._make_view(results, v)['img'] for v in range(len(self.views))]
            return results
        images = []
        with preserved_generators():
            for v in range(len(self.views)):
                seed_generators((*seed_key, v))
                images.append(self._make_view(results, v)['img'])
        results['img'] = images
        return results

    def _make_view(self, results: dict, v: int) -> dict:
        return self.views[v](dict(results, img=results['img'].copy()))

    def __repr__(self) -> str:
        """List the pipelines with their numbers of views."""
        lines = [f'{n} x {p}' for n, p in zip(self.num_views, self.pipelines, strict=True)]
        return f'{type(self).__name__}(\n' + '\n'.join(lines) + ')'


def _build(transform: dict | Callable[[dict], dict]) -> Callable[[dict], dict]:
    # mmpretrain's registry falls back to the root one, so its transforms need no prefix even
    # where default_scope is not mmpretrain.
    return MMPRETRAIN_TRANSFORMS.build(transform) if isinstance(transform, dict) else transform
