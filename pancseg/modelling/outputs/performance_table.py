"""``performance.csv``: the measures of the report with all their digits."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from pancseg.modelling.analysis.calibration import Calibration
from pancseg.modelling.analysis.measure_names import brier_measure, main_measure
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.optimism import trusted
from pancseg.modelling.study import RADIOMICS
from pancseg.modelling.times import named_time
from pancseg.modelling.validation.measures import Estimate


def performance_table(results: AnalysisResults) -> pd.DataFrame:
    """Return ``performance.csv``: the measures of the report with all their digits."""
    rows: list[tuple[str, str, float, float, float]] = []

    def add(model: str, measure: str, one: Estimate) -> None:
        rows.append((model, measure, one.value, one.low, one.high))

    nothing = float("nan")
    for name, found in results.measures.items():
        for measure, one in found.items():
            add(name, measure, one)
        for measure, value in _corrected(results, name).items():
            add(name, f"{measure}, .632+", Estimate(value, nothing, nothing))
    for name, fit in results.calibration.items():
        for measure, one in _calibration(results, fit):
            add(name, measure, one)
    for (a, b), more in results.comparisons.items():
        pair = f"{a} − {b}"
        add(pair, f"difference in {main_measure(results.settings.kind)}", more.discrimination)
        add(pair, f"difference in {brier_measure(results.settings.kind)}", more.brier)
        add(pair, "difference in net benefit", more.net_benefit)
        add(pair, "likelihood-ratio p", Estimate(more.added_p, nothing, nothing))
    if results.groups is not None:
        add(RADIOMICS, "hazard ratio of high against low risk", results.groups.ratio)
    table = pd.DataFrame(rows, columns=["model", "measure", "value", "low_95", "high_95"])
    return table.dropna(subset="value")


def _calibration(results: AnalysisResults, fit: Calibration) -> Iterator[tuple[str, Estimate]]:
    """Yield the names and values of a model's calibration."""
    yield "calibration slope", fit.slope
    if not results.horizons:
        yield "calibration-in-the-large", fit.intercept
    for horizon, ratio in fit.ratios.items():
        at = f" at {named_time(horizon)}" if results.horizons else ""
        yield f"observed / expected{at}", ratio
        if horizon in fit.curves:
            yield f"ICI{at}", fit.curves[horizon].ici


def _corrected(results: AnalysisResults, name: str) -> dict[str, float]:
    """Return a model's .632+ estimates by measure; none where they cannot be trusted."""
    found = results.corrected.get(name)
    if not found or not trusted(found):
        return {}
    return {measure: each.value for measure, each in found.items()}
