"""Draw a linear model as a nomogram: points per variable, their sum, and what it predicts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.special import logit

from pancseg.modelling.plain.model import PlainModel
from pancseg.modelling.plain.predictors import Logistic
from pancseg.modelling.report.model_numbers import baseline, linear_terms
from pancseg.modelling.report.parts import Picture
from pancseg.modelling.report.picture_files import picture_files, wrapped
from pancseg.modelling.saved_model import SavedModel
from pancseg.modelling.settings import unit_of
from pancseg.modelling.study import BOTH, RADIOMICS
from pancseg.modelling.times import timed

_MOST_TERMS = 20
"""Most variables of a nomogram; with more, nobody could read it."""
_PROBABILITIES = (0.01, *(round(0.05 * k, 2) for k in range(1, 20)), 0.99)
_SHARES = 1, 99
"""Percentiles of the training values between which a variable's scale runs."""


class Scale(NamedTuple):
    """One variable's scale.

    Attributes:
        name: of the variable.
        low: value at the left end of the range.
        high: value at the right end of the range.
        per_unit: change of the linear predictor per unit.
    """

    name: str
    low: float
    high: float
    per_unit: float

    @property
    def least(self) -> float:
        """The value that gets 0 points."""
        return self.low if self.per_unit > 0 else self.high

    @property
    def effect(self) -> float:
        """The change of the linear predictor over the range."""
        return abs(self.per_unit) * (self.high - self.low)


class Nomogram(NamedTuple):
    """Points of a linear model.

    Attributes:
        scales: of its variables.
        per_point: change of the linear predictor per point; the longest scale has 100 points.
        at_zero: linear predictor with no point.
    """

    scales: tuple[Scale, ...]
    per_point: float
    at_zero: float

    def points(self, scale: Scale, value: float) -> float:
        """Return the points that a value gets."""
        return (value - scale.least) * scale.per_unit / self.per_point

    @property
    def most(self) -> float:
        """The largest sum of points."""
        return sum(scale.effect for scale in self.scales) / self.per_point


def nomogram_of(model: PlainModel, values: Mapping[str, pd.DataFrame]) -> Nomogram | None:
    """Return the points of a linear model; None without one to 20 variables that matter.

    Args:
        model: a fitted model; None is also returned where it removes effects of scanners or sites,
            as points would then depend on them.
        values: the training values by block.
    """
    terms = linear_terms(model)
    if terms is None or any(part.effects is not None for part in model.parts):
        return None
    scales, total = [], 0.0
    for row in terms.to_dict("records"):
        per_unit = row["coefficient"] / row["sd"]
        total -= per_unit * row["mean"]
        if not per_unit:
            continue
        column = values[row["block"]][row["name"]].dropna()
        if set(column.unique()) <= {0.0, 1.0}:  # an indicator
            low, high = (float(each) for each in np.clip([0.0, 1.0], *_fences(row)))
        else:
            shares = np.percentile(column, _SHARES)
            low, high = (float(each) for each in np.clip(shares, *_fences(row)))
        if high > low:
            scales.append(Scale(str(row["name"]), low, high, per_unit))
        else:
            total += per_unit * low
    if not 1 <= len(scales) <= _MOST_TERMS:
        return None
    if isinstance(model.predictor, Logistic):
        total += float(model.predictor.intercept[0])
    at_zero = total + sum(scale.per_unit * scale.least for scale in scales)
    return Nomogram(tuple(scales), max(scale.effect for scale in scales) / 100, at_zero)


def _fences(row: Mapping[Hashable, Any]) -> tuple[float, float]:
    """Return the values that a column is limited to."""
    lowest, highest = float(row["lowest"]), float(row["highest"])
    return (
        -np.inf if np.isnan(lowest) else lowest,
        np.inf if np.isnan(highest) else highest,
    )


def nomograms(
    saved: SavedModel, values: Mapping[str, pd.DataFrame]
) -> tuple[dict[str, Picture], dict[str, bytes]]:
    """Return the nomograms of the declared and the combined model, by model, and their files.

    Args:
        saved: the models.
        values: the training values by block.
    """
    pictures: dict[str, Picture] = {}
    files: dict[str, bytes] = {}
    for name in (RADIOMICS, BOTH):
        model = saved.models.get(name)
        found = None if model is None else nomogram_of(model, values)
        if model is None or found is None:
            continue
        stem = "nomogram" if name == RADIOMICS else "nomogram_clinical_and_radiomics"
        outcomes = _outcomes(model, saved)
        draw = _drawing(found, outcomes, f"Nomogram: {name}")
        height = 1.6 + 0.52 * (len(found.scales) + len(outcomes) + 1)
        files |= picture_files(stem, draw, (7.5, height))
        caption = _caption(name, saved)
        if pictures:
            caption = f"Nomogram of the saved model {name}, to be read as that of {RADIOMICS}."
        pictures[name] = Picture(f"{stem}.png", caption)
    return pictures, files


def _caption(name: str, saved: SavedModel) -> str:
    what = (
        "the probability of being event-free at each time"
        if saved.kind == "survival"
        else "the probability of the positive class"
    )
    return (
        f"Nomogram of the saved model {name}. Read the points of each value on the top scale, add "
        f"them up, and read {what} below the total. Scales run from the {_SHARES[0]}st to the "
        f"{_SHARES[1]}th percentile of the training values; outside of them the model is not "
        "supported by data."
        + (
            " The probability is the one without competing events, if these are independent of the "
            "event."
            if saved.facts.get("competing")
            else ""
        )
    )


class _Outcome(NamedTuple):
    title: str
    linear: Callable[[float], float]
    """Probability → linear predictor."""


def _outcomes(model: PlainModel, saved: SavedModel) -> list[_Outcome]:
    if isinstance(model.predictor, Logistic):
        return [_Outcome(f"Probability of {saved.facts['classes'][1]}", lambda p: float(logit(p)))]
    times, curve = baseline(model)
    unit = unit_of(saved.facts.get("time_unit"))
    found = []
    for time in saved.facts.get("horizons") or ():
        step = int(np.searchsorted(times, time, side="right"))
        free = float(np.concatenate([[1.0], curve])[step])
        if 0 < free < 1:
            title = f"Event-free at {timed(time, unit)}"
            found.append(_Outcome(title, _linear_for(free)))
    return found


def _linear_for(free: float) -> Callable[[float], float]:
    """Return the log hazard by event-free probability, for a baseline of ``free``."""
    return lambda probability: float(np.log(np.log(probability) / np.log(free)))


def _drawing(found: Nomogram, outcomes: Sequence[_Outcome], title: str) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_title(title, loc="left")
        axes.set(xlim=(-3, 103), ylim=(-len(found.scales) - len(outcomes) - 1.6, 0.9))
        axes.axis("off")
        _scale(axes, 0, "Points", [(x, f"{x:g}") for x in range(0, 101, 10)])
        for row, scale in enumerate(found.scales, 1):
            longest = scale.effect / found.per_point
            _scale(axes, -row, wrapped(scale.name), _values(found, scale), (0, longest))
        row = -len(found.scales) - 1
        ticks = MaxNLocator(10, steps=[1, 2, 2.5, 5, 10]).tick_values(0, found.most)
        inside = [t for t in ticks if 0 <= t <= found.most * 1.001]
        top = found.most
        _scale(axes, row, "Total points", [(100 * t / top, f"{t:g}") for t in inside], (0, 100))
        for outcome in outcomes:
            row -= 1
            places = [
                ((outcome.linear(p) - found.at_zero) / found.per_point / top * 100, f"{p:g}")
                for p in _PROBABILITIES
            ]
            seen = [(x, text) for x, text in places if 0 <= x <= 100]
            _scale(axes, row, wrapped(outcome.title, 26), _apart(seen))

    return draw


def _values(found: Nomogram, scale: Scale) -> list[tuple[float, str]]:
    """Return places, in points, and texts of the ticks of a variable."""
    if (scale.low, scale.high) == (0.0, 1.0):
        ticks = [0.0, 1.0]
    else:
        wanted = max(2, int(8 * scale.effect / found.per_point / 100))
        locator = MaxNLocator(wanted, steps=[1, 2, 2.5, 5, 10])
        every = map(float, locator.tick_values(scale.low, scale.high))
        inside = [tick for tick in every if scale.low < tick < scale.high]
        ticks = [scale.low, *inside, scale.high]
    return _apart([(found.points(scale, t), f"{t:z.4g}".replace("-", "−")) for t in ticks])


def _apart(places: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return ticks whose texts do not touch; the first and the last one always stay."""
    if len(places) < 2:
        return places
    first, *between, last = sorted(places)
    kept = [first]
    for tick in between:
        if not _touch(kept[-1], tick) and not _touch(tick, last):
            kept.append(tick)
    return [*kept, last]


def _touch(left: tuple[float, str], right: tuple[float, str]) -> bool:
    return right[0] - left[0] < 1.1 * (len(left[1]) + len(right[1])) / 2 + 1


def _scale(
    axes: Axes,
    y: float,
    title: str,
    places: Sequence[tuple[float, str]],
    ends: tuple[float, float] | None = None,
) -> None:
    axes.text(-4, y, title, ha="right", va="center", fontsize=8)
    if not places:
        return
    axes.plot(ends or [places[0][0], places[-1][0]], [y, y], color="black", lw=1)
    close = len(places) == 2 and _touch(*places)  # a short scale: texts point away from it
    for n, (x, text) in enumerate(places):
        side = ("right", "left")[n] if close else "center"
        axes.plot([x, x], [y, y + 0.13], color="black", lw=1)
        axes.text(x, y + 0.18, text, ha=side, va="bottom", fontsize=7)
