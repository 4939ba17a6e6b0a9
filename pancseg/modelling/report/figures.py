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
from pancseg.modelling.estimators.cox import as_frame, kaplan_meier
from pancseg.modelling.study import CHANCE, RADIOMICS
from pancseg.modelling.validation.importance import own_weights
from pancseg.tables.picture_style import plain_style

_MOST_FEATURES, _BINS = 15, 5
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


def predicted_risk(results: AnalysisResults, name: str) -> tuple[np.ndarray, str]:
    """Return the (n,) out-of-fold risks, averaged over repeats, and a text that says of what."""
    model = results.validation.models[name]
    if model.curves is None:
        return model.score.mean(axis=0), "of the positive class"
    event_free = results.event_free_at(name, len(results.horizons) // 2).mean(axis=0)
    return 1 - event_free, f"of an event by {_horizon(results):.3g}"


def _horizon(results: AnalysisResults) -> float:
    """Return the middle one of the study's horizons."""
    return results.horizons[len(results.horizons) // 2]


def _calibration(axes: Axes, results: AnalysisResults) -> None:
    y = results.plan.y
    for colour, (name, _) in zip(_COLOURS, results.validation.models.items(), strict=False):
        risk, what = predicted_risk(results, name)
        order = np.array_split(np.argsort(risk, kind="stable"), _BINS)
        if np.ptp(risk) < 1e-9 or name == CHANCE:
            continue
        if y.dtype.names is None:
            seen = [y[rows].mean() for rows in order]
        else:
            seen = [1 - kaplan_meier(y[rows], np.array([_horizon(results)]))[0] for rows in order]
        axes.plot([risk[rows].mean() for rows in order], seen, "o-", color=colour, label=name)
        axes.set(xlabel=f"predicted risk {what}", ylabel="observed", title="Calibration, fifths")
    axes.axline((0, 0), slope=1, color="0.7", linewidth=1)
    axes.legend(fontsize=8)


def decision_frame(results: AnalysisResults) -> pd.DataFrame:
    """Return the net benefit by model and threshold (dcurves)."""
    from dcurves import dca

    names = [name for name in results.validation.models if name != CHANCE]
    frame = pd.DataFrame({f"m{j}": predicted_risk(results, n)[0] for j, n in enumerate(names)})
    thresholds = np.arange(1, 100) / 100
    models = list(frame.columns)
    if results.plan.y.dtype.names is None:
        frame["outcome"] = results.plan.y
        found = dca(data=frame, outcome="outcome", modelnames=models, thresholds=thresholds)
    else:
        own = as_frame(results.plan.y)
        frame["outcome"], frame["time"] = own["event"].astype(bool), own["time"]
        found = dca(
            data=frame,
            outcome="outcome",
            modelnames=models,
            thresholds=thresholds,
            time=_horizon(results),
            time_to_outcome_col="time",
        )
    names_of = dict(zip(models, names, strict=True))
    found["model"] = found["model"].replace(names_of)
    return pd.DataFrame(found)[["model", "threshold", "net_benefit"]]


def _decision(axes: Axes, results: AnalysisResults) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dcurves on empty strata at extreme thresholds
        table = decision_frame(results)
    for colour, (name, rows) in zip(
        (*_COLOURS, "0.3", "0.6"), table.groupby("model", sort=False), strict=False
    ):
        axes.plot(rows["threshold"], rows["net_benefit"], color=colour, label=str(name))
    top = float(table["net_benefit"].max())
    axes.set(xlabel="threshold probability", ylabel="net benefit", title="Decision curves")
    axes.set_ylim(-0.1 * max(top, 0.1), 1.1 * max(top, 0.1))
    axes.legend(fontsize=8)


def risk_groups(results: AnalysisResults, name: str) -> np.ndarray:
    """Return for each patient whether the risk exceeds the training median in most repeats."""
    model = results.validation.models[name]
    return np.asarray((model.score > model.threshold).mean(axis=0) > 0.5)


def _kaplan_meier(axes: Axes, results: AnalysisResults) -> None:
    y, high = results.plan.y, risk_groups(results, RADIOMICS)
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
