"""Scalars to wherever a run's figures go."""

from collections.abc import Mapping

from mmengine.runner import Runner


def report(runner: Runner, prefix: str, scalars: Mapping[str, float], step: int) -> None:
    """Hand scalars to the message hub and to every visualizer back end, as ``<prefix>/<name>``.

    Args:
        runner: Has both.
        prefix: What measured them.
        scalars: By name.
        step: Number of iterations done.
    """
    named = {f'{prefix}/{name}': value for name, value in scalars.items()}
    for name, value in named.items():
        runner.message_hub.update_scalar(name, value)
    runner.visualizer.add_scalars(named, step=step)
