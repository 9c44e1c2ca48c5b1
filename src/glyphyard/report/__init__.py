"""One self-contained report.html for a run, from its folder alone."""

from glyphyard.report.page import write_report

__all__ = ["write_report"]
