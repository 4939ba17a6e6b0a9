"""How much predictions for one patient differ between models fitted on other training rows.

Each repeat of the cross-validation predicts every patient by another model. Riley and Collins
(2023, Biom J 65:2200302) call a large spread instability: a single prediction then says little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.report.parts import Picture, Section, number
from pancseg.modelling.report.picture_files import COLOURS, picture_files
from pancseg.modelling.settings import unit_of
from pancseg.modelling.study import CHANCE, RADIOMICS, SHOWN
from pancseg.modelling.times import timed
from pancseg.modelling.validation.risk_groups import is_high
from pancseg.system.text.number_text import percent

NAME = "prediction_stability"


def risks(results: AnalysisResults, name: str) -> np.ndarray:
    """Return (repeats, n) out-of-fold risks: of the positive class, or of an event.

    For survival the event is by the middle one of the horizons.
    """
    model = results.validation.models[name]
    if model.curves is None:
        return model.score
    return 1 - results.event_free_at(name, len(results.horizons) // 2)


def spreads(values: np.ndarray) -> np.ndarray:
    """Return (n,) mean absolute differences of a patient's risks from their mean."""
    return np.asarray(np.abs(values - values.mean(axis=0)).mean(axis=0))


def changing(results: AnalysisResults, name: str) -> float:
    """Return the share of patients who are above the threshold in some repeats, but not in all."""
    model = results.validation.models[name]
    called = model.score >= model.threshold if model.curves is None else is_high(model)
    above = called.mean(axis=0)
    return float(((above > 0) & (above < 1)).mean())


def stability_section(results: AnalysisResults) -> Section:
    """Return the section on the stability of individual predictions."""
    title = "Stability of individual predictions"
    repeats = len(results.validation.folds)
    if repeats < 2:
        return Section(title, ["One repeat (`repeats`) cannot show it; use 2 or more."])
    rows: list[Sequence[str]] = []
    for name in SHOWN:
        if name not in results.validation.models or name == CHANCE:
            continue
        values = risks(results, name)
        found, width = spreads(values), np.ptp(values, axis=0)
        rows.append(
            [
                name,
                number(float(found.mean())),
                number(float(np.median(width))),
                number(float(np.quantile(width, 0.95))),
                percent(changing(results, name)),
            ]
        )
    header = [
        "model", "mean absolute difference from the patient's mean", "median range",
        "95th percentile of the range",
        "change sides of the threshold",
    ]  # fmt: skip
    lines = [
        f"The same patient was predicted by {repeats} models, whose training rows overlap, so the "
        "spread over new samples would be larger. The wider the range of these predictions, the "
        "less a single one can be relied on."
    ]
    caption = (
        f"Spread over {repeats} repeats of a patient's predicted risk ({risk_of(results)}), and "
        "the share of patients who are above the model's threshold in some repeats only."
    )
    picture = Picture(
        f"{NAME}.png",
        f"Each patient's predicted risk ({risk_of(results)}) by the model radiomics: mean over "
        f"{repeats} repeats, out of fold, and the range between the lowest and the highest.",
    )
    return Section(title, lines, header, rows, [picture], caption)


def risk_of(results: AnalysisResults) -> str:
    """Return what :func:`risks` are of."""
    if not results.horizons:
        return "of the positive class"
    return f"of an event by {timed(results.middle, _unit(results))}"


def _unit(results: AnalysisResults) -> str:
    return unit_of(results.settings.time_unit)


def stability_files(results: AnalysisResults) -> dict[str, bytes]:
    """Return the files of the figure; none with a single repeat."""
    if len(results.validation.folds) < 2:
        return {}
    return picture_files(NAME, lambda figure: _draw(figure, results), (6.3, 4.3))


def _draw(figure: Figure, results: AnalysisResults) -> None:
    values = risks(results, RADIOMICS)
    order = np.argsort(values.mean(axis=0), kind="stable")
    values, y = values[:, order], results.plan.y[order]
    axes, place = figure.add_subplot(), np.arange(len(order))
    axes.vlines(place, values.min(axis=0), values.max(axis=0), color="0.75", linewidth=1)
    if y.dtype.names is None:
        groups = [(y == 1, "positive class", COLOURS[1]), (y == 0, "other class", COLOURS[0])]
    else:
        horizon = results.middle
        early = y["event"] & (y["time"] <= horizon)
        late = y["time"] > horizon
        groups = [
            (early, f"event by {timed(horizon, _unit(results))}", COLOURS[1]),
            (late, f"event-free at {timed(horizon, _unit(results))}", COLOURS[0]),
            (~early & ~late, "censored before", "0.5"),
        ]
    for rows, label, colour in groups:
        mean = values.mean(axis=0)[rows]
        axes.plot(place[rows], mean, ".", color=colour, markersize=4, label=label)
    axes.set(xlabel="patients, by mean predicted risk", ylabel=f"predicted risk {risk_of(results)}")
    top = min(1.02, 1.25 * float(values.max()))  # room for the legend
    axes.set(ylim=(-0.02, top), title=f"Predictions over {len(values)} repeats: radiomics")
    axes.legend(fontsize=8, loc="upper left")
