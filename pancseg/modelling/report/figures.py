"""Draw the pictures of the report, and say what they show."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pancseg.modelling.analysis.performance import MOST_REPEATS
from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.cross_validation.importance import own_weights
from pancseg.modelling.report.km_figure import km_caption, km_files
from pancseg.modelling.report.parts import Picture, pooled
from pancseg.modelling.report.picture_files import COLOURS, KINDS, picture_files, wrapped
from pancseg.modelling.report.roc_figures import roc_caption, roc_files, style_of
from pancseg.modelling.report.stability import stability_files
from pancseg.modelling.report.times_text import censored
from pancseg.modelling.settings import unit_of
from pancseg.modelling.study import BOTH, RADIOMICS, SHOWN
from pancseg.modelling.times import timed
from pancseg.modelling.validation.calibration import SmoothCurve
from pancseg.modelling.validation.risk_groups import above_threshold
from pancseg.modelling.words import listed

_MOST_FEATURES, _TALL = 15, (7.5, 6.0)


PERFORMANCE = tuple(
    f"{name}.{kind}"
    for name in (
        "roc", "time_dependent_roc", "kaplan_meier", "calibration", "decision_curve",
        "prediction_stability",
    )
    for kind in KINDS
)  # fmt: skip
"""Pictures that show performance."""


def pictures(results: AnalysisResults) -> dict[str, bytes]:
    """Return file name → content; no picture of performance when a canary sang."""
    found = picture_files(
        "features", lambda figure: _features(figure.add_subplot(), results), _TALL
    )
    if results.leaks:
        return found
    found |= roc_files(results) | stability_files(results)
    if results.settings.kind == "survival":
        found |= km_files(results, above_threshold(results.validation.models[RADIOMICS]))
    found |= _calibration_files(results)
    return found | picture_files(
        "decision_curve", lambda figure: _decision(figure.add_subplot(), results)
    )


def shown(results: AnalysisResults) -> list[Picture]:
    """Return the figures of performance with their captions, in the order of the report."""
    found = [roc_caption(results)]
    rivals = censored(results)
    banded = [name for name in (RADIOMICS, BOTH) if name in results.measures]
    repeats = len(results.validation.folds)
    mean = ", the mean over repeats" if repeats > 1 else ""
    if results.settings.kind == "survival":
        found.append(km_caption(rivals, repeats))
    return [
        *found,
        Picture(
            "calibration.png",
            f"Calibration, out of fold: observed against predicted risk {_of_what(results, True)}, "
            "smoothed (local linear regression, span 0.75), with pointwise 95 % intervals."
            + (" Weighted for censoring." if results.horizons else "")
            + f"{pooled(repeats, MOST_REPEATS)}{rivals}",
        ),
        Picture(
            "decision_curve.png",
            f"Decision curves (Vickers and Elkin 2006) of the risk {_of_what(results)}, out of "
            f"fold: net benefit per patient by the threshold probability, of single models{mean}. "
            f"Bands: 95 % intervals of {listed(banded)}.{rivals}",
        ),
    ]


def _of_what(results: AnalysisResults, every: bool = False) -> str:
    """Return what the risk is of; for survival by the middle horizon, or by every one."""
    if not results.horizons:
        return "of the positive class"
    if every:
        return "of an event by each horizon"
    return f"of an event by {timed(results.middle, _unit(results))}"


def _unit(results: AnalysisResults) -> str:
    return unit_of(results.settings.time_unit)


def _calibration_files(results: AnalysisResults) -> dict[str, bytes]:
    """Return the files of the calibration curves, one axes per model and horizon."""
    fits = {name: results.calibration[name] for name in SHOWN if name in results.calibration}
    curves = {name: found.curves for name, found in fits.items() if found.curves}
    unit = _unit(results) if results.horizons else None
    return calibration_files(curves, "Calibration, out of fold", unit)


def calibration_files(
    curves: Mapping[str, Mapping[float, SmoothCurve]], title: str, unit: str | None
) -> dict[str, bytes]:
    """Return the files of smooth calibration curves, one axes per model and horizon.

    Args:
        curves: model → horizon → curve; models without a curve are left out.
        title: of the figure.
        unit: of the horizons; None for a class.
    """
    columns = max((len(found) for found in curves.values()), default=1)
    columns = columns if columns > 1 else min(2, max(1, len(curves)))
    panels = [(n, t, curve) for n, found in curves.items() for t, curve in found.items()]
    rows = max(1, -(-len(panels) // columns))
    tops = {time: _highest([c for _, t, c in panels if t == time]) for _, time, _ in panels}

    def draw(figure: Figure) -> None:
        if not panels:
            figure.add_subplot().set_title("Calibration: no model's predictions vary")
            return
        figure.suptitle(title, fontsize=11)
        grid = figure.add_gridspec(rows, columns)
        for place, (name, time, curve) in enumerate(panels):
            when = "" if unit is None else f", by {timed(time, unit)}"
            _calibration(figure.add_subplot(grid[place]), f"{name}{when}", curve, tops[time])

    return picture_files("calibration", draw, (max(3.1 * columns, 3.6), 2.9 * rows + 0.4))


def _highest(curves: list[SmoothCurve]) -> float:
    """Return the end of both axes that shows all curves and bands of a horizon."""
    found = max(float(np.nanmax([*c.risk, *c.observed, *c.high])) for c in curves)
    return min(1.0, 1.05 * found)


def _calibration(axes: Axes, title: str, curve: SmoothCurve, top: float) -> None:
    """Draw a smooth curve with its band; both axes end at ``top``."""
    axes.axline((0, 0), slope=1, color="0.7", linewidth=1)
    axes.plot(curve.risk, curve.observed, color=COLOURS[0])
    axes.fill_between(curve.risk, curve.low, curve.high, color=COLOURS[0], alpha=0.3, linewidth=0)
    axes.set(xlim=(0, top), ylim=(0, top), xlabel="predicted risk", ylabel="observed risk")
    axes.set_yticks([tick for tick in axes.get_xticks() if 0 <= tick <= top])
    axes.set_title(wrapped(title, 36), fontsize=7.5)


def _decision(axes: Axes, results: AnalysisResults) -> None:
    by = f": {_of_what(results).removeprefix('of an ')}" if results.horizons else ""
    decision_axes(axes, results.decision, f"Decision curves, out of fold{by}")


def decision_axes(axes: Axes, table: pd.DataFrame, title: str) -> None:
    """Draw decision curves, with treating all and none.

    Args:
        axes: to draw in.
        table: see :func:`.net_benefit.decision_curve`.
        title: of the figure.
    """
    top, bottom = 0.1, 0.0
    wanted = [n for n in (*SHOWN, "all") if n in set(table["model"])]
    for name in wanted:
        rows, (colour, style) = table[table["model"] == name], style_of(name)
        label = "treat all" if name == "all" else name
        axes.plot(
            rows["threshold"], rows["net_benefit"], color=colour, label=label, linestyle=style
        )
        if name in (RADIOMICS, BOTH):
            axes.fill_between(
                rows["threshold"], rows["low_95"], rows["high_95"], facecolor=(colour, 0.2),
                edgecolor=(colour, 0.6), linewidth=0.6,
            )  # fmt: skip
            top = max(top, float(rows["high_95"].max()))
            bottom = min(bottom, float(rows["low_95"].min()))
        top = max(top, float(rows["net_benefit"].max()))
    axes.axhline(0, color="0.6", linewidth=1, label="treat none")
    axes.set(xlabel="threshold probability", ylabel="net benefit per patient")
    axes.set_title(title, fontsize=11)
    axes.set_ylim(min(-0.1 * top, 1.05 * max(bottom, -top)), 1.1 * top)
    axes.legend(fontsize=8)


def weights_are_permuted(results: AnalysisResults) -> bool:
    """Return whether feature weights are permutation importances on held-out patients."""
    return own_weights(results.final[RADIOMICS].model) is None


def feature_table(results: AnalysisResults) -> pd.DataFrame:
    """Return, by feature, the share of outer models that use it, and mean and std of its weight.

    Permutation importances reveal performance, so they are empty when a canary sang.
    """
    models = results.validation.models[RADIOMICS].weights
    permuted = weights_are_permuted(results)
    names = sorted({name for weights in models for name in weights})
    rows = []
    for name in names:
        share = float(np.mean([name in weights for weights in models]))
        values = np.array([weights.get(name, 0.0) for weights in models])
        if permuted and results.leaks:
            values[:] = np.nan
        rows.append((name, share, values.mean(), values.std()))
    table = pd.DataFrame(rows, columns=["feature", "share_of_folds", "mean_weight", "std_weight"])
    strength = table["mean_weight"] if permuted else table["mean_weight"].abs()
    table = table.assign(strength=strength).sort_values(
        ["share_of_folds", "strength", "feature"], ascending=[False, False, True]
    )
    return table.drop(columns="strength")


def _features(axes: Axes, results: AnalysisResults) -> None:
    table = feature_table(results).head(_MOST_FEATURES).iloc[::-1]
    grid = axes.figure.add_gridspec(1, 2)
    axes.set_subplotspec(grid[0])
    positions = np.arange(len(table))
    axes.barh(positions, table["share_of_folds"], color=COLOURS[0])
    axes.set_yticks(positions, [wrapped(name) for name in table["feature"]])
    axes.set(xlabel="share of models", title="Used")
    axes.set_xlim(0, 1)
    axes.figure.suptitle("Features across folds")
    axes.tick_params(axis="y", labelsize=7)
    weight = axes.figure.add_subplot(grid[1], sharey=axes)
    mean, spread = table["mean_weight"], table["std_weight"]
    weight.errorbar(mean, positions, xerr=spread, fmt="o", color=COLOURS[1])
    weight.axvline(0, color="0.7", linewidth=1)
    what = "rise of log loss" if weights_are_permuted(results) else "weight"
    weight.set(xlabel=what, title="Weight ± std")
    weight.tick_params(axis="y", labelleft=False)
