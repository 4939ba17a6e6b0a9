"""ROC curves over test folds: of a class, and of the event by each horizon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.estimators.cox import censoring_survival
from pancseg.modelling.report.parts import Picture
from pancseg.modelling.report.picture_files import COLOURS, LINES, legend, picture_files
from pancseg.modelling.report.times_text import censored
from pancseg.modelling.settings import unit_of
from pancseg.modelling.study import CHANCE, SHOWN
from pancseg.modelling.times import named_time, timed
from pancseg.modelling.validation.measures import Estimate

_EPSILON = 1e-9


def style_of(model: str) -> tuple[str, str]:
    """Return the colour and line style of a model, the same in every figure and study."""
    place = SHOWN.index(model) if model in SHOWN else len(SHOWN)
    return COLOURS[place], LINES[place % len(LINES)]


Curve = tuple[np.ndarray, np.ndarray]
"""(k,) false and true positive rates, from (0, 0) to (1, 1)."""


def pooled_roc(parts: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Curve | None:
    """Return the mean of folds' ROC curves, each weighted by its pairs; None without a pair.

    The area below it is the AUC of the report, which counts pairs within folds: tied scores are
    joined by a straight line, so they count half.

    Args:
        parts: for each test fold scores, (n,) weights as a case, (n,) weights as a control; a row
            with both 0 does not count.
    """
    curves, weights = [], []
    for score, case, control in parts:
        weight = float(case.sum() * control.sum())
        if weight > 0:
            curves.append(_of_fold(score, case, control))
            weights.append(weight)
    if not curves:
        return None
    steps = np.unique(np.concatenate([false for false, _ in curves]))
    # A vertical step has two values at one rate: its ends are read just before and just after it.
    rates = np.clip(np.sort(np.concatenate([steps - _EPSILON, steps + _EPSILON])), 0, 1)
    mean = np.average([np.interp(rates, *curve) for curve in curves], axis=0, weights=weights)
    return np.concatenate([[0.0], rates, [1.0]]), np.concatenate([[0.0], mean, [1.0]])


def _of_fold(score: np.ndarray, case: np.ndarray, control: np.ndarray) -> Curve:
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true = np.concatenate([[0.0], np.cumsum(case[order])[ends] / case.sum()])
    false = np.concatenate([[0.0], np.cumsum(control[order])[ends] / control.sum()])
    # Rates must rise for interpolation; a step is spread over less than the tolerance above.
    return false + np.linspace(0, _EPSILON / 10, len(false)), true


def _folds(results: AnalysisResults) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return repeat, test rows and training rows of every outer fold."""
    folds = results.validation.folds
    return [
        (r, np.flatnonzero(row == f), np.flatnonzero(row != f))
        for r, row in enumerate(folds)
        for f in np.unique(row)
    ]


def roc_weights(
    y: np.ndarray, train: np.ndarray, horizon: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) weights of rows as a case and as a control.

    For survival the curve is cumulative/dynamic: cases have the event by the horizon and count with
    the inverse probability of being uncensored; controls are event-free for longer.

    Args:
        y: (n,) outcomes.
        train: outcomes from which the censoring distribution is estimated.
        horizon: the time; None: of a class.
    """
    if horizon is None:
        return (y == 1).astype(float), (y == 0).astype(float)
    free = censoring_survival(train, y["time"], before=True)
    case = y["event"] & (y["time"] <= horizon) & (free > 0)
    weight = np.where(case, 1 / np.where(free > 0, free, 1), 0.0)
    return weight, (y["time"] > horizon).astype(float)


def out_of_fold_roc(
    results: AnalysisResults, name: str, horizon: float | None = None
) -> Curve | None:
    """Return the out-of-fold ROC curve of a model: of a class, or of the event by a horizon."""
    y, score = results.plan.y, results.validation.models[name].score
    return pooled_roc(
        (score[r, test], *roc_weights(y[test], y[train], horizon))
        for r, test, train in _folds(results)
    )


def roc_caption(results: AnalysisResults) -> Picture:
    """Return the figure with its caption."""
    name, kind = "roc", "ROC curves"
    if results.horizons:
        name = "time_dependent_roc"
        kind = (
            "Time-dependent ROC curves (cumulative cases, dynamic controls, weighted for censoring)"
        )
    return Picture(
        f"{name}.png",
        f"{kind}, out of fold: the mean of the test folds' curves, weighted by their pairs, so "
        "that the area is the AUC of the table. The legend gives it with its 95 % interval."
        f"{censored(results)}",
    )


def roc_files(results: AnalysisResults) -> dict[str, bytes]:
    """Return the files of the figure: a curve per model; for survival an axes per horizon."""
    if not results.horizons:
        return picture_files("roc", lambda figure: _class(figure, results), (5.6, 5.2))
    size = 3.3 * len(results.horizons) + 0.4, 4.3
    return picture_files("time_dependent_roc", lambda figure: _survival(figure, results), size)


def _class(figure: Figure, results: AnalysisResults) -> None:
    curves = {name: out_of_fold_roc(results, name) for name in SHOWN if name in results.measures}
    areas = {name: results.measures[name]["AUC"] for name in curves}
    axes = figure.add_subplot()
    _draw(axes, curves, areas)
    positive = results.plan.y.sum()
    n = len(results.plan.y)
    axes.set_title(f"ROC, out of fold ({positive} of {n} positive)", fontsize=11)


def _survival(figure: Figure, results: AnalysisResults) -> None:
    unit = unit_of(results.settings.time_unit)
    figure.suptitle("Time-dependent ROC, out of fold", fontsize=11)
    all_axes = figure.subplots(1, len(results.horizons), squeeze=False, sharey=True)[0]
    for axes, horizon in zip(all_axes, results.horizons, strict=True):
        names = [name for name in SHOWN if name in results.measures]
        curves = {name: out_of_fold_roc(results, name, horizon) for name in names}
        areas = {name: results.measures[name][f"AUC at {named_time(horizon)}"] for name in names}
        _draw(axes, curves, areas)
        y = results.plan.y
        events = int((y["event"] & (y["time"] <= horizon)).sum())
        axes.set_title(f"{timed(horizon, unit)} ({events} events until then)", fontsize=10)
        if axes is not all_axes[0]:
            axes.set_ylabel("")


def _draw(axes: Axes, curves: Mapping[str, Curve | None], areas: Mapping[str, Estimate]) -> None:
    axes.axline((0, 0), slope=1, color="0.7", linewidth=1)
    for name, curve in curves.items():
        if curve is None or name == CHANCE:
            continue
        area = areas[name]
        label = f"{name}\n{area.value:.2f} ({area.low:.2f} to {area.high:.2f})"
        colour, style = style_of(name)
        axes.plot(*curve, color=colour, linestyle=style, label=label, linewidth=1.6)
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", aspect="equal")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    legend(axes, 7, "lower right")
