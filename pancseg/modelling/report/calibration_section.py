"""The section of the report on calibration out of fold."""

from __future__ import annotations

from pancseg.modelling.analysis.measure_names import main_measure
from pancseg.modelling.analysis.performance import MOST_REPEATS
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.report.parts import Section, pooled, with_interval
from pancseg.modelling.report.times_text import times_in
from pancseg.modelling.times import named_time
from pancseg.system.text.number_text import DASH


def calibration_section(results: AnalysisResults) -> Section:
    """Return slope, calibration in the large and ICI of every model out of fold."""
    survival = results.settings.kind == "survival"
    rows, header = [], ["model", "slope"]
    for name, found in results.calibration.items():
        row = [name, with_interval(found.slope)]
        if not survival:
            row.append(with_interval(found.intercept))
        for horizon, ratio in found.ratios.items():
            curve = found.curves.get(horizon)
            row += [with_interval(ratio)] * survival
            row.append(with_interval(curve.ici) if curve else DASH)
        rows.append(row)
    if survival:
        for time in results.horizons:
            header += [f"observed / expected at {named_time(time)}", f"ICI at {named_time(time)}"]
        large = (
            "Observed / expected is the risk by a time (1 − Kaplan–Meier) over the mean predicted "
            "one; out of stratified folds it is close to 1 by construction and says nothing about "
            "calibration elsewhere"
        )
        if results.settings.competing:
            large += (
                "; competing events are among the censored, and predictions are not compared with "
                "the Aalen–Johansen incidence"
            )
    else:
        header += ["in the large", "ICI"]
        large = (
            "In the large is the intercept in log odds with the slope fixed at 1: out of "
            "stratified folds the mean risk is near the share of the class by construction, so "
            "that it says nothing about calibration elsewhere; a few patients predicted wrongly "
            "with near certainty can move it far from 0"
        )
    line = (
        "Slope 1 is ideal; between 0 and 1 predictions are too extreme, at 0 or below they do not "
        f"go with the outcome. Where the interval of {main_measure(results.settings.kind)} holds "
        f"0.5, that of the slope is extended to hold 0. {large}. ICI is the mean distance "
        "of the smooth curve (local linear, span 0.75) from the diagonal."
        f"{pooled(results.settings.repeats, MOST_REPEATS)}"
    )
    caption = f"Calibration of every model out of fold, with 95 % intervals.{times_in(results)}"
    return Section("Calibration", [line], header, rows, caption=caption)
