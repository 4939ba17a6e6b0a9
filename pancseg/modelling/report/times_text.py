"""Sentences that tables and figures of survival have in common."""

from __future__ import annotations

from pancseg.modelling.analysis.results import AnalysisResults


def times_in(results: AnalysisResults) -> str:
    """Return a sentence on the unit of the times in a table's header; nothing for a class."""
    if not results.horizons:
        return ""
    unit = results.settings.time_unit
    return f" Times are in {unit}." if unit else " The unit of the times was not told."


def censored(results: AnalysisResults) -> str:
    """Return a sentence on competing events for a caption; nothing where none were named."""
    return " Competing events count as censored." if results.settings.competing else ""
