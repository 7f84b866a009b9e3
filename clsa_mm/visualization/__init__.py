"""What a run has logged, and figures of it."""

from clsa_mm.visualization.curves import draw_curves
from clsa_mm.visualization.run_log import RunLog, read_run
from clsa_mm.visualization.style import save_figure

__all__ = ['RunLog', 'draw_curves', 'read_run', 'save_figure']
