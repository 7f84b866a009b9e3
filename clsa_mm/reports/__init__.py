"""Reports on runs: one self-contained HTML page."""

from clsa_mm.reports.page import write_report

__all__ = ['write_report']
