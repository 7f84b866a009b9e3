"""Logging to TensorBoard, W&B, MLflow and others, added to any config by name."""

import importlib.util
import os
from collections.abc import Sequence
from typing import NamedTuple

from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import WandbVisBackend
from mmengine.visualization.vis_backend import force_init_env


class LogBackend(NamedTuple):
    """A registered back end, the modules it imports and the distributions that bring them."""

    type: str
    modules: tuple[str, ...]
    distributions: str


LOG_BACKENDS = {
    'tensorboard': LogBackend('TensorboardVisBackend', ('tensorboard',), 'tensorboard'),
    'wandb': LogBackend('WandbWithoutCodeVisBackend', ('wandb',), 'wandb'),
    'mlflow': LogBackend('MLflowVisBackend', ('mlflow',), 'mlflow-skinny'),
    'clearml': LogBackend('ClearMLVisBackend', ('clearml',), 'clearml'),
    'neptune': LogBackend('NeptuneVisBackend', ('neptune',), 'neptune'),
    'dvclive': LogBackend('DVCLiveVisBackend', ('dvclive', 'pygit2'), 'dvclive pygit2'),
    'aim': LogBackend('AimVisBackend', ('aim',), 'aim'),
}


@VISBACKENDS.register_module()
class WandbWithoutCodeVisBackend(WandbVisBackend):
    """mmengine's W&B back end, without the upload of every Python file below the working directory.

    mmengine's calls ``wandb.Run.log_code``, which also takes all files of a virtual environment in there.
    """

    @force_init_env
    def add_config(self, config: Config, **kwargs) -> None:
        """Record the config as the run's."""
        self._wandb.config.update(config.to_dict(), allow_val_change=True)


def add_log_backends(cfg: Config, names: Sequence[str]) -> None:
    """Make a run log to more back ends, besides those of its config and mmengine's local files.

    Metrics of a test go there too, by a :class:`LogTestMetricsHook`. The visualizer's type stays that of the
    config. A back end that the config has already, with whatever arguments, is left alone.

    Args:
        cfg: A whole config of any scope; its ``visualizer`` and ``custom_hooks`` are changed in place.
        names: Keys of :data:`LOG_BACKENDS`.

    Raises:
        ValueError: For an unknown name.
        ModuleNotFoundError: For a back end whose package is not installed; names the command.
    """
    visualizer = cfg.get('visualizer') or dict(type='Visualizer')
    backends = list(visualizer.get('vis_backends') or [dict(type='LocalVisBackend')])
    for name in names:
        if name not in LOG_BACKENDS:
            raise ValueError(f'unknown log back end {name!r}; there are {", ".join(LOG_BACKENDS)}')
        _require(name)
        if not any(_is_backend(configured['type'], name) for configured in backends):
            backends.append(dict(type=LOG_BACKENDS[name].type, **_arguments(name)))
    if names:
        cfg.visualizer = dict(visualizer, vis_backends=backends)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='LogTestMetricsHook')]


def _is_backend(type_: str | type, name: str) -> bool:
    """Whether a configured type (bare, with its scope, or a class) is the named back end or its parent."""
    known = VISBACKENDS.get(LOG_BACKENDS[name].type)
    bare = getattr(type_, '__name__', str(type_)).rsplit('.')[-1]
    return bare in {class_.__name__ for class_ in known.__mro__[:-2]}


def _require(name: str) -> None:
    for module in LOG_BACKENDS[name].modules:
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(
                f'logging to {name} needs the module {module}, which is not installed; '
                f'run: pip install {LOG_BACKENDS[name].distributions}'
            )


def _arguments(name: str) -> dict[str, str]:
    """What a back end needs besides its defaults."""
    if name != 'mlflow':
        return {}
    # MLflow 3 asks for consent to writing files, which it does without a server: beside the other logs.
    os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')
    # mmengine's back end does not look at MLflow's own variable.
    uri = os.environ.get('MLFLOW_TRACKING_URI')
    return {'tracking_uri': uri} if uri else {}
