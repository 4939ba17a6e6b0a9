"""Draw the pictures of the report as PNG."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import CensoredData, ecdf

from pancseg.modelling.analysis import AnalysisResults
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, VOLUME
from pancseg.modelling.validation.importance import own_weights
from pancseg.modelling.validation.risk_groups import above_threshold
from pancseg.tables.picture_style import plain_style

_MOST_FEATURES = 15
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")


PERFORMANCE = ("roc.png", "kaplan_meier.png", "calibration.png", "decision_curve.png")
"""Pictures that show performance."""


def pictures(results: AnalysisResults) -> dict[str, bytes]:
    """Return file name → PNG bytes; no picture of performance when a canary sang."""
    found = {"features.png": _png(_features, results)}
    if results.leaks:
        return found
    if results.settings.kind == "subtype":
        found["roc.png"] = _png(_roc, results)
    else:
        found["kaplan_meier.png"] = _png(_kaplan_meier, results)
    found["calibration.png"] = _png(_calibration, results)
    found["decision_curve.png"] = _png(_decision, results)
    return found


@plain_style()
def _png(draw: object, results: AnalysisResults) -> bytes:
    assert callable(draw)
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot(), results)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    return content.getvalue()


def _roc(axes: Axes, results: AnalysisResults) -> None:
    from sklearn.metrics import roc_curve

    y, grid = results.plan.y, np.linspace(0, 1, 101)
    for colour, (name, model) in zip(_COLOURS, results.validation.models.items(), strict=False):
        curves = []
        for score, folds in zip(model.score, results.validation.folds, strict=True):
            for fold in np.unique(folds):
                rows = folds == fold
                if len(np.unique(y[rows])) == 2:
                    false, true, _ = roc_curve(y[rows], score[rows])
                    curves.append(np.interp(grid, false, true))
        if curves:
            value = results.measures[name]["AUC"].value
            axes.plot(grid, np.mean(curves, axis=0), color=colour, label=f"{name} {value:.2f}")
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", title="Mean ROC over test folds")
    axes.legend(fontsize=8)


def _calibration(axes: Axes, results: AnalysisResults) -> None:
    """Draw a smooth curve with its band, one axes per model and horizon."""
    shown = {name: found for name, found in results.calibration.items() if found.curves}
    if not shown:
        axes.set(title="Calibration: no model's predictions vary")
        return
    columns = max(len(found.curves) for found in shown.values())
    columns = columns if columns > 1 else min(3, len(shown))
    panels = [(n, t, curve) for n, found in shown.items() for t, curve in found.curves.items()]
    rows = -(-len(panels) // columns)
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.set_size_inches(3 * columns, 2.8 * rows)
    grid = figure.add_gridspec(rows, columns)
    axes.set_subplotspec(grid[0])
    for place, (name, time, curve) in enumerate(panels):
        panel = axes if place == 0 else figure.add_subplot(grid[place])
        panel.axline((0, 0), slope=1, color="0.7", linewidth=1)
        panel.plot(curve.risk, curve.observed, color=_COLOURS[0])
        panel.fill_between(curve.risk, curve.low, curve.high, color=_COLOURS[0], alpha=0.3)
        when = f", by {time:.3g}" if results.settings.kind == "survival" else ""
        panel.set(xlim=(0, 1), ylim=(0, 1), xlabel="predicted risk", ylabel="observed")
        panel.set_title(f"{name}{when}", fontsize=8)


def _decision(axes: Axes, results: AnalysisResults) -> None:
    table, top = results.decision, 0.1
    wanted = [n for n in (RADIOMICS, VOLUME, CLINICAL, BOTH, "all") if n in set(table["model"])]
    for colour, name in zip(_COLOURS, wanted, strict=False):
        rows = table[table["model"] == name]
        axes.plot(rows["threshold"], rows["net_benefit"], color=colour, label=name)
        if name in (RADIOMICS, BOTH):
            axes.fill_between(
                rows["threshold"], rows["low_95"], rows["high_95"], color=colour, alpha=0.2
            )
        top = max(top, float(rows["net_benefit"].max()))
    axes.axhline(0, color="0.6", linewidth=1, label="none")
    axes.set(xlabel="threshold probability", ylabel="net benefit", title="Decision curves")
    axes.set_ylim(-0.1 * top, 1.1 * top)
    axes.legend(fontsize=8)


def _kaplan_meier(axes: Axes, results: AnalysisResults) -> None:
    y, high = results.plan.y, above_threshold(results.validation.models[RADIOMICS])
    for name, rows, colour in (("high", high, _COLOURS[1]), ("low", ~high, _COLOURS[0])):
        if rows.any():
            _survival_curve(axes, y[rows], f"{name} risk, n = {rows.sum()}", colour)
    axes.set(xlabel="time", ylabel="event-free", title="Out-of-fold risk groups (radiomics)")
    axes.legend()


def _survival_curve(axes: Axes, y: np.ndarray, label: str, colour: str) -> None:
    """Draw a Kaplan–Meier curve with its pointwise 95 % interval (log-log)."""
    curve = ecdf(CensoredData.right_censored(y["time"], ~y["event"])).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no interval where the curve is 1 or 0
        interval = curve.confidence_interval(method="log-log")
    times = np.concatenate([[0.0], curve.quantiles])
    low, share, high = (
        np.concatenate([[1.0], part.probabilities]) for part in (interval.low, curve, interval.high)
    )
    axes.step(times, share, where="post", color=colour, label=label)
    axes.fill_between(times, low, high, step="post", color=colour, alpha=0.3, linewidth=0)


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
    axes.barh(positions, table["share_of_folds"], color=_COLOURS[0])
    names = table["feature"].str[-45:].str.replace("$", r"\$", regex=False)  # no formulas of TeX
    axes.set_yticks(positions, list(names))
    axes.set(xlabel="share of models", title="Used")
    axes.set_xlim(0, 1)
    axes.figure.suptitle("Features across folds")
    axes.tick_params(axis="y", labelsize=7)
    weight = axes.figure.add_subplot(grid[1], sharey=axes)
    mean, spread = table["mean_weight"], table["std_weight"]
    weight.errorbar(mean, positions, xerr=spread, fmt="o", color=_COLOURS[1])
    weight.axvline(0, color="0.7", linewidth=1)
    what = "rise of log loss" if weights_are_permuted(results) else "weight"
    weight.set(xlabel=what, title="Weight ± std")
    weight.tick_params(axis="y", labelleft=False)
