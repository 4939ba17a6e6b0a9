"""Owns the box plot: one box per model, every case a point. Knows numbers and names only."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

_BOX, _POINT, _MEAN = "#c6d9ec", "#1f4e79", "#c0392b"
_LONGEST_NAME = 16


def dice_plot(dice: Mapping[str, NDArray[np.float64]]) -> bytes:
    """Draw Dice by model and return a PNG; NaN is left out and not counted in ``n``.

    The box spans the quartiles, the line in it is the median, whiskers reach the last value
    within 1.5 times the box's height.
    """
    values = [own[~np.isnan(own)] for own in dice.values()]
    figure = Figure(figsize=(max(4.0, 1.2 * len(values) + 1.2), 4.2), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, own in enumerate(values, start=1):
        if not len(own):
            continue
        axes.boxplot(
            [own],
            positions=[place],
            widths=0.55,
            showfliers=False,  # every case is a point already
            patch_artist=True,
            boxprops={"facecolor": _BOX, "edgecolor": "#555555"},
            medianprops={"color": "#222222", "linewidth": 1.6},
            whiskerprops={"color": "#555555"},
            capprops={"color": "#555555"},
        )
        beside = place + _offsets(len(own))
        axes.scatter(beside, own, s=16, color=_POINT, alpha=0.75, linewidths=0, zorder=3)
        axes.scatter([place], [own.mean()], marker="D", s=30, color=_MEAN, zorder=4)
    axes.scatter([], [], marker="D", s=30, color=_MEAN, label="mean")
    axes.scatter([], [], s=16, color=_POINT, label="one case")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize=8, ncols=2)
    labels = [f"{_short(m)}\nn = {len(own)}" for m, own in zip(dice, values, strict=True)]
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
    """Return how far each point stands from its box's middle, evenly spread, always the same."""
    golden = (np.arange(count) * 0.6180339887 + 0.5) % 1  # neighbours in the list stand apart
    return np.asarray((golden - 0.5) * 0.36, dtype=np.float64)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
