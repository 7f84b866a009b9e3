"""What a run has logged, and figures of it."""

from clsa_mm.visualization.run_log import RunLog, read_run

__all__ = ['RunLog', 'read_run']
