"""How the settings of a run differ from the config that it is named after, and from those of other runs."""

from collections.abc import Mapping, Sequence

from clsa_mm.checkpoints.config_text import settings_of
from clsa_mm.engine.config_bases import config_folder
from clsa_mm.engine.settings import load_config
from clsa_mm.reports.run_facts import RunFacts

DEFAULT = 'clsa_r50_8xb32_200e.py'
"""Ours that a run is compared with whose config has the name of none."""

# Where a run is and how it was called.
_QUIET = {'work_dir', 'resume', 'load_from', 'launcher', 'experiment_name'}
_ABSENT = '(not set)'

Difference = tuple[str, str, str]


def base_of(run: RunFacts) -> tuple[str, dict[str, object]]:
    """The config of ours that a run's is named after, or else the paper's.

    Args:
        run: mmengine has copied its config, of all settings, into its work dir under the config's own name.

    Returns:
        Its path below ``configs/``, and its settings by their full names.
    """
    folder = config_folder()
    names = {path.name for path in run.log.folder.glob('*.py')}
    named = sorted(path for path in folder.rglob('*.py') if path.name in names and '_base_' not in path.parts)
    path = named[0] if named else folder / DEFAULT
    return path.relative_to(folder).as_posix(), settings_of(load_config(path).pretty_text)


def differences(settings: Mapping[str, object], base: Mapping[str, object]) -> list[Difference]:
    """Name, value in the base and value in the run of each setting that is another.

    Args:
        settings: Of the run.
        base: Of what it is compared with.
    """
    names = [name for name in dict.fromkeys([*base, *settings]) if name.partition('.')[0] not in _QUIET]
    pairs = [(name, _shown(base, name), _shown(settings, name)) for name in names]
    return [(name, before, after) for name, before, after in pairs if before != after]


def differing(runs: Sequence[RunFacts]) -> list[tuple[str, ...]]:
    """Name and the values in each run of the settings that are not the same in all.

    Args:
        runs: Two or more.
    """
    names = dict.fromkeys(name for run in runs for name in run.log.settings)
    rows = [
        (name, *(_shown(run.log.settings, name) for run in runs))
        for name in names
        if name.partition('.')[0] not in _QUIET
    ]
    return [row for row in rows if len(set(row[1:])) > 1]


def _shown(settings: Mapping[str, object], name: str) -> str:
    return repr(settings[name]) if name in settings else _ABSENT
