"""ROC, calibration and decision curves of a saved model in new patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pancseg.modelling.external_measures import middle_of
from pancseg.modelling.report.external.judged import Judged, followed
from pancseg.modelling.report.figures import calibration_files, decision_axes
from pancseg.modelling.report.parts import Picture, Section, with_interval
from pancseg.modelling.report.picture_files import legend, picture_files
from pancseg.modelling.report.roc_figures import pooled_roc, roc_weights, style_of
from pancseg.modelling.study import BOTH, RADIOMICS
from pancseg.modelling.subtype import NET_BENEFIT
from pancseg.modelling.times import timed
from pancseg.modelling.validation.calibration import SmoothCurve
from pancseg.modelling.validation.measures import Estimate, bootstrap_weights
from pancseg.modelling.validation.net_benefit import decision_curve
from pancseg.modelling.validation.new_patients import (
    FEWEST,
    Risks,
    risks_of,
    smooth_curves,
    too_few,
)
from pancseg.modelling.words import counted, listed


def calibration_curves(
    judged: Judged, shown: Sequence[str], resamples: int
) -> dict[str, dict[float, SmoothCurve]]:
    """Return model → horizon → smooth calibration curve, where one can be computed.

    Args:
        judged: the new patients.
        shown: the models.
        resamples: number of resamples of the patient bootstrap.
    """
    found = {name: smooth_curves(*_risks(judged, name, resamples)) for name in shown}
    return {name: curves for name, curves in found.items() if curves}


def decision(judged: Judged, shown: Sequence[str], resamples: int) -> pd.DataFrame | None:
    """Return the decision curves of the models and of treating all; None with too few events.

    For survival the risk is that by the middle one of the model's times. All are treated who have
    a prediction of the first model.

    Args:
        judged: the new patients.
        shown: the models.
        resamples: number of resamples of the patient bootstrap.
    """
    parts = []
    for name in [*shown, "all"]:
        risks, weights = _risks(judged, shown[0] if name == "all" else name, resamples)
        _, risk, status = risks[len(risks) // 2]
        if not too_few(status):
            parts.append(decision_curve(name, risk, status, weights))
    return pd.concat(parts, ignore_index=True) if parts else None


def curve_files(
    judged: Judged,
    curves: Mapping[str, Mapping[float, SmoothCurve]],
    benefit: pd.DataFrame | None,
) -> dict[str, bytes]:
    """Return the files of the figures that there is anything to draw in.

    Args:
        judged: the new patients.
        curves: the result of :func:`calibration_curves`.
        benefit: the result of :func:`decision`.
    """
    files = {}
    if curves:
        unit = judged.unit if judged.survival else None
        files = calibration_files(curves, "Calibration, new patients", unit)
    if benefit is not None:
        by = f": event by {timed(middle_of(judged.saved), judged.unit)}" if judged.survival else ""
        files |= picture_files(
            "decision_curve",
            lambda figure: decision_axes(
                figure.add_subplot(), benefit, f"Decision curves, new patients{by}"
            ),
        )
    return files


def calibration_picture(judged: Judged) -> Picture:
    """Return the calibration curves with their caption."""
    of = "of an event by each of the model's times" if judged.survival else "of the positive class"
    return Picture(
        "calibration.png",
        f"Calibration in {_whom(judged)}: observed against predicted risk {of}, smoothed (local "
        "linear regression, span 0.75), with pointwise 95 % intervals."
        + (" Weighted for censoring." if judged.survival else "")
        + _rivals(judged),
    )


def benefit_section(judged: Judged, benefit: pd.DataFrame | None) -> Section:
    """Return the section on net benefit, with the decision curves.

    Args:
        judged: the new patients.
        benefit: the result of :func:`decision`.
    """
    lines = [
        "Net benefit is the share of patients treated rightly, less that of patients treated in "
        "vain, who count by the odds of the threshold. A model is of use where its curve is above "
        "that of treating all and above 0, which is treating none."
    ]
    when = f" by {timed(middle_of(judged.saved), judged.unit)}" if judged.survival else ""
    for name in (RADIOMICS, BOTH):
        for measure, found in judged.measures.get(name, {}).items():
            if measure.startswith(NET_BENEFIT) and not np.isnan(found.value):
                share = measure.rpartition(" at ")[2]
                lines.append(
                    f"At a threshold of {share}, the observed risk{when}, the net benefit of "
                    f"{name} is {with_interval(found)}: {_of_use(found)}"
                )
    missing = not_computed(judged, [*judged.measures], ("decision curve", "decision curves"), True)
    if benefit is None:
        return Section(NET_BENEFIT.capitalize(), [*lines, *missing])
    banded = [name for name in (RADIOMICS, BOTH) if name in set(benefit["model"])]
    of = (
        f"of an event by {timed(middle_of(judged.saved), judged.unit)}"
        if judged.survival
        else "of the positive class"
    )
    picture = Picture(
        "decision_curve.png",
        f"Decision curves (Vickers and Elkin 2006) of the risk {of}, in {_whom(judged)}: net "
        "benefit per patient by the threshold probability, 1 to 99 %."
        + (f" Bands: 95 % intervals of {listed(banded)}." if banded else "")
        + (" Weighted for censoring." if judged.survival else "")
        + _rivals(judged),
    )
    return Section(NET_BENEFIT.capitalize(), [*lines, *missing], pictures=[picture])


def not_computed(
    judged: Judged, shown: Sequence[str], what: tuple[str, str], middle: bool = False
) -> list[str]:
    """Return sentences on the curves that cannot be computed, and why.

    Args:
        judged: the new patients.
        shown: the models.
        what: the curve, of one model and of several.
        middle: whether only the middle one of the model's times counts.
    """
    found: dict[str, list[str]] = {}
    for name in shown:
        risks, _ = _risks(judged, name, 0)
        for horizon, risk, status in risks[len(risks) // 2 :][:1] if middle else risks:
            by = f" by {timed(horizon, judged.unit)}" if judged.survival else ""
            event = f"the event{by}" if judged.survival else "the positive class"
            if few := too_few(status):
                reason = (
                    f"{counted(few[0], 'row')} with {event} and {few[1]} known to be without it; "
                    f"{FEWEST} of each are needed"
                )
            elif not middle and np.ptp(risk) < 1e-9:
                reason = "the model predicts the same for all patients"
            else:
                continue
            found.setdefault(f"{by}\0{reason}", []).append(name)
    return [
        f"Not computed: the {what[len(names) > 1]} of {listed(names)}{key.split(chr(0))[0]} "
        f"({key.split(chr(0))[1]})."
        for key, names in found.items()
    ]


def _risks(judged: Judged, name: str, resamples: int) -> tuple[list[Risks], np.ndarray]:
    """Return risks of the patients that a model predicts, and their bootstrap weights."""
    known = judged.known(name)
    free = judged.event_free[name][known] if judged.survival else np.empty((known.sum(), 0))
    risks = risks_of(judged.y[known], judged.scores[name][known], free, judged.horizons)
    return risks, bootstrap_weights(judged.groups[known], resamples, 0)


def _of_use(found: Estimate) -> str:
    if found.low > 0:
        return "above that of treating none, which is 0."
    if found.high < 0:
        return "below that of treating none, which is 0."
    return "not shown to differ from that of treating none, which is 0."


def _whom(judged: Judged) -> str:
    count = int(judged.positive.sum())
    what = counted(count, "event") if judged.survival else f"{count} of the positive class"
    return f"the new patients ({judged.size}, {what})"


def _rivals(judged: Judged) -> str:
    return " Competing events count as censored." if judged.saved.facts.get("competing") else ""


def roc_files(judged: Judged, shown: Sequence[str]) -> dict[str, bytes]:
    """Return the files of the ROC curves; for survival an axes per horizon that was followed to.

    Args:
        judged: the new patients.
        shown: the models.
    """
    name = "time_dependent_roc" if judged.survival else "roc"
    horizons = [t for t in judged.horizons if judged.survival and followed(judged.y, t)]
    if judged.survival and not horizons:
        return {}
    width = 3.3 * max(1, len(horizons)) + (0.4 if judged.survival else 2.0)
    height = 4.3 if judged.survival else 5.0

    def draw(figure: Figure) -> None:
        _roc(figure, judged, shown, horizons)

    return picture_files(name, draw, (width, height))


def _roc(figure: Figure, judged: Judged, shown: Sequence[str], horizons: Sequence[float]) -> None:
    many = figure.subplots(1, max(1, len(horizons)), squeeze=False, sharey=True)[0]
    places: Sequence[float | None] = horizons or [None]
    for axes, horizon in zip(many, places, strict=True):
        axes.axline((0, 0), slope=1, color="0.7", linewidth=1)
        for name in shown:
            known = judged.known(name)
            y = judged.y[known]
            curve = pooled_roc([(judged.scores[name][known], *roc_weights(y, y, horizon))])
            if curve is None:
                continue
            area = float(np.trapezoid(curve[1], curve[0]))
            colour, style = style_of(name)
            label = f"{name} {area:.2f}"
            axes.plot(*curve, color=colour, linestyle=style, label=label)
        title = "ROC, new patients" if horizon is None else timed(horizon, judged.unit)
        axes.set(xlabel="1 − specificity", aspect="equal", title=title)
        legend(axes, 7, "lower right")
    many[0].set_ylabel("sensitivity")
