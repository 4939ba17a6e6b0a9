"""Draw the pictures of the report, and say what they show."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pancseg.modelling.analysis import AnalysisResults
from pancseg.modelling.estimators.cox import as_frame, kaplan_meier
from pancseg.modelling.report.km_figure import km_caption, km_files
from pancseg.modelling.report.parts import Picture
from pancseg.modelling.report.picture_files import COLOURS, picture_files, wrapped
from pancseg.modelling.report.roc_figures import roc_caption, roc_files
from pancseg.modelling.report.stability import stability_files
from pancseg.modelling.study import CHANCE, RADIOMICS
from pancseg.modelling.validation.importance import own_weights

_MOST_FEATURES, _BINS, _TALL = 15, 5, (7.5, 6.0)
Drawing = Callable[[Figure], None]


PERFORMANCE = tuple(
    f"{name}.{kind}"
    for name in (
        "roc", "time_dependent_roc", "kaplan_meier", "calibration", "decision_curve",
        "prediction_stability",
    )
    for kind in ("png", "svg")
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
        found |= km_files(results, risk_groups(results, RADIOMICS))
    for name, draw in (("calibration", _calibration), ("decision_curve", _decision)):
        found |= picture_files(name, _on_axes(draw, results))
    return found


def shown(results: AnalysisResults) -> list[Picture]:
    """Return the figures of performance with their captions, in the order of the report."""
    found = [roc_caption(results)]
    if results.settings.kind == "survival":
        found.append(km_caption())
    return [
        *found,
        Picture(
            "calibration.png",
            f"Calibration, out of fold: patients in fifths of the predicted risk "
            f"{_of_what(results)}, averaged over repeats, against the share observed"
            + (" (Kaplan–Meier)." if results.horizons else "."),
        ),
        Picture(
            "decision_curve.png",
            f"Decision curves (Vickers and Elkin 2006) of the risk {_of_what(results)}, averaged "
            "over repeats, out of fold: net benefit per patient by the threshold probability.",
        ),
    ]


def _of_what(results: AnalysisResults) -> str:
    if not results.horizons:
        return "of the positive class"
    return f"of an event by {_horizon(results):.4g} {results.settings.time_unit or 'time units'}"


def _on_axes(draw: Callable[[Axes, AnalysisResults], None], results: AnalysisResults) -> Drawing:
    return lambda figure: draw(figure.add_subplot(), results)


def predicted_risk(results: AnalysisResults, name: str) -> tuple[np.ndarray, str]:
    """Return the (n,) out-of-fold risks, averaged over repeats, and a text that says of what."""
    model = results.validation.models[name]
    if model.curves is None:
        return model.score.mean(axis=0), _of_what(results)
    event_free = results.event_free_at(name, len(results.horizons) // 2).mean(axis=0)
    return 1 - event_free, _of_what(results)


def _horizon(results: AnalysisResults) -> float:
    """Return the middle one of the study's horizons."""
    return results.horizons[len(results.horizons) // 2]


def _calibration(axes: Axes, results: AnalysisResults) -> None:
    y = results.plan.y
    for colour, (name, _) in zip(COLOURS, results.validation.models.items(), strict=False):
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
        (*COLOURS, "0.3", "0.6"), table.groupby("model", sort=False), strict=False
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
