"""Draw the box plot of an evaluation: one box per model, one point per case."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pancseg.tables.picture_style import plain_style

_BOX, _POINT, _MEAN = "#c6d9ec", "#1f4e79", "#c0392b"
_LONGEST_NAME = 16


@plain_style()
def dice_plot(dice: Mapping[str, NDArray[np.float64]]) -> bytes:
    """Draw the Dice of each model's cases and return a PNG.

    The box spans the quartiles and has a line at the median. The whiskers reach the last value
    within 1.5 times the box's height. NaN values are omitted and not counted in ``n``.

    Args:
        dice: for each model's name, the Dice of its cases.
    """
    values = [of_model[~np.isnan(of_model)] for of_model in dice.values()]
    figure = Figure(figsize=(max(4.0, 1.2 * len(values) + 1.2), 4.2), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for position, found in enumerate(values, start=1):
        if not len(found):
            continue
        axes.boxplot(
            [found],
            positions=[position],
            widths=0.55,
            showfliers=False,  # every case is a point already
            patch_artist=True,
            boxprops={"facecolor": _BOX, "edgecolor": "#555555"},
            medianprops={"color": "#222222", "linewidth": 1.6},
            whiskerprops={"color": "#555555"},
            capprops={"color": "#555555"},
        )
        spread = position + _offsets(len(found))
        axes.scatter(spread, found, s=16, color=_POINT, alpha=0.75, linewidths=0, zorder=3)
        axes.scatter([position], [found.mean()], marker="D", s=30, color=_MEAN, zorder=4)
    axes.scatter([], [], marker="D", s=30, color=_MEAN, label="mean")
    axes.scatter([], [], s=16, color=_POINT, label="one case")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize=8, ncols=2)
    labels = [f"{_short(m)}\nn = {len(found)}" for m, found in zip(dice, values, strict=True)]
    axes.set_xticks(range(1, len(values) + 1), labels)
    axes.set_xlim(0.4, len(values) + 0.6)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("Dice, native resolution")
    axes.yaxis.grid(True, color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _offsets(count: int) -> NDArray[np.float64]:
    """Return each point's horizontal distance from its box's middle, evenly spread and fixed."""
    golden = (np.arange(count) * 0.6180339887 + 0.5) % 1  # keeps neighbours in the list apart
    return np.asarray((golden - 0.5) * 0.36, dtype=np.float64)


def _short(name: str) -> str:
    short = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return short.replace("$", r"\$")  # no formulas of TeX
