"""Draw Kaplan–Meier curves of the out-of-fold risk groups, with the numbers at risk."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.report.parts import Picture, in_most
from pancseg.modelling.report.picture_files import COLOURS, picture_files
from pancseg.modelling.settings import unit_of
from pancseg.modelling.study import RADIOMICS
from pancseg.modelling.validation.kaplan_meier import kaplan_meier_curve

NAME = "kaplan_meier"


def km_caption(rivals: str, repeats: int) -> Picture:
    """Return the figure with its caption.

    Args:
        rivals: a sentence on competing events, or nothing.
        repeats: number of repeats of the cross-validation.
    """
    caption = (
        "Kaplan–Meier curves of the risk groups of the model radiomics, with pointwise 95 % "
        "intervals (log-log) and the numbers at risk. High risk: out of fold above the training "
        f"median{in_most(repeats)}; the groups are no fixed rule for new patients. "
        "No log-rank p: the groups are not independent of the outcomes that their models were "
        f"fitted to.{rivals}"
    )
    return Picture(f"{NAME}.png", caption)


def km_files(results: AnalysisResults, high: np.ndarray) -> dict[str, bytes]:
    """Return the files of the figure.

    Args:
        results: the analysis of survival.
        high: (n,) whether a patient is in the group of high risk.
    """
    return picture_files(NAME, lambda figure: draw_curves(figure, results, high), (6.3, 5.2))


def draw_curves(figure: Figure, results: AnalysisResults, high: np.ndarray) -> None:
    """Fill a figure with the curves above and the numbers at risk below."""
    y, unit = results.plan.y, unit_of(results.settings.time_unit)
    groups = [("high risk", high, COLOURS[1]), ("low risk", ~high, COLOURS[0])]
    groups = [group for group in groups if group[1].any()]
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(6, 0.6 + 0.4 * len(groups)))
    for name, rows, colour in groups:
        events = int(y["event"][rows].sum())
        _curve(axes, y[rows], f"{name}: n = {rows.sum()}, {events} events", colour)
    longest = float(y["time"].max())
    axes.set(ylabel="event-free", ylim=(0, 1.02), xlim=(0, longest))
    axes.set_title(f"Out-of-fold risk groups: {RADIOMICS}", fontsize=11)
    axes.legend(fontsize=8, loc="best")  # high curves lie above, low ones below
    axes.tick_params(labelbottom=True)
    axes.set_xlabel(f"time ({unit})")
    ticks = [t for t in MaxNLocator(6).tick_values(0, longest) if 0 <= t <= longest]
    axes.set_xticks(ticks)
    below.set(ylim=(-len(groups) - 0.2, 0.2))
    below.axis("off")
    below.set_title("Number at risk", loc="left", fontsize=9)
    for place, (name, rows, colour) in enumerate(groups):
        line = -place - 0.6
        below.text(
            -0.06, line, name, transform=below.get_yaxis_transform(), ha="right", va="center",
            color=colour, fontsize=8,
        )  # fmt: skip
        for tick in ticks:
            count = int((y["time"][rows] >= tick).sum())
            below.text(tick, line, str(count), ha="center", va="center", fontsize=8)


def _curve(axes: Axes, y: np.ndarray, label: str, colour: str) -> None:
    """Draw a curve with its pointwise 95 % interval (log-log); ticks are censorings."""
    found = kaplan_meier_curve(y)
    times = np.concatenate([[0.0], found.curve.quantiles])
    share, low, high = (np.concatenate([[1.0], part.probabilities]) for part in found)
    axes.step(times, share, where="post", color=colour, label=label)
    axes.fill_between(times, low, high, step="post", color=colour, alpha=0.2, linewidth=0)
    censored = np.unique(y["time"][~y["event"]])
    axes.plot(censored, found.curve.evaluate(censored), "|", color=colour, markersize=5)
