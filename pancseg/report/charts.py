"""Draw small charts as SVG that follows the page's colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from statistics import quantiles
from typing import NamedTuple

WIDTH, HEIGHT = 400, 180
_LEFT, _RIGHT, _BOTTOM, _TOP = 8, 8, 26, 10
_BAND_PX = 16
_MOST_BINS, _BINS_A_STEP = 30, 5
_STEPS = (1, 2, 2.5, 5, 10)
_LETTER_PX = 7
_FEWEST_FOR_RANGE = 8
_FAR = 3
"""Interquartile ranges beyond the middle half of the values."""


class Band(NamedTuple):
    """A range of values that a chart names, such as a published norm.

    Attributes:
        low, high: the range.
        middle: its middle, drawn as a dot.
        text: what it is.
    """

    low: float
    middle: float
    high: float
    text: str


def histogram(
    groups: Mapping[str, Sequence[float]],
    unit: str,
    title: str,
    *,
    bands: Sequence[Band] = (),
    limits: Sequence[float] = (),
) -> str:
    """Return a stacked histogram.

    Values far from all others are counted in the outermost bar, with a note, so that a single one
    does not squeeze the rest into a corner.

    Args:
        groups: name of a CSS class → values.
        unit: unit of the values.
        title: what screen readers say.
        bands: ranges drawn above the bars.
        limits: values drawn as dashed lines.

    >>> 'class="pass"' in histogram({"pass": [1, 2, 2]}, "mL", "volumes")
    True
    """
    values = [value for group in groups.values() for value in group]
    if not values:
        return ""
    least, most_shown = _common_range(values)
    edges = (edge for band in bands for edge in (band.low, band.high))
    seen = [least, most_shown, *edges, *limits]
    low, high, step = _nice(min(seen), max(seen))
    bins = max(1, min(_MOST_BINS, round((high - low) / step * _BINS_A_STEP)))
    counts = {name: _counts(group, low, high, bins) for name, group in groups.items()}
    most = max(map(sum, zip(*counts.values(), strict=True)))
    top = _TOP + _BAND_PX * len(bands)
    chart = _Axes(low, high, top, most)
    parts = [chart.bars(counts), chart.ticks(step, unit)]
    parts += [chart.limit(value) for value in limits]
    parts += [chart.band(number, band) for number, band in enumerate(bands)]
    parts.append(chart.beyond(values))
    inside = "".join(parts)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{inside}</svg>'
    )


class _Axes(NamedTuple):
    low: float
    high: float
    top: int
    most: int

    def x(self, value: float) -> float:
        """Return the place of a value, in pixels from the left."""
        share = (value - self.low) / (self.high - self.low)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def bars(self, counts: Mapping[str, Sequence[int]]) -> str:
        """Return a stack of bars for each bin."""
        found = []
        floor = HEIGHT - _BOTTOM
        number = len(next(iter(counts.values())))
        width = (WIDTH - _LEFT - _RIGHT) / number
        for i in range(number):
            y = float(floor)
            for name, column in counts.items():
                if not column[i]:
                    continue
                height = column[i] / self.most * (floor - self.top)
                y -= height
                found.append(
                    f'<rect class="{name}" x="{_LEFT + i * width + 0.5:.1f}" y="{y:.1f}" '
                    f'width="{width - 1:.1f}" height="{height:.1f}">'
                    f"<title>{column[i]}</title></rect>"
                )
        return "".join(found)

    def ticks(self, step: float, unit: str) -> str:
        """Return the axis and its numbers; the last has the unit, and room for it."""
        floor = HEIGHT - _BOTTOM
        found = [f'<path class="axis" d="M{_LEFT} {floor}H{WIDTH - _RIGHT}"/>']
        count = round((self.high - self.low) / step)
        end = f"{self.low + count * step:,g} {unit}".strip()
        room = WIDTH - _RIGHT - len(end) * _LETTER_PX
        for i in range(count + 1):
            value = self.low + i * step
            text = end if i == count else f"{value:,g}"
            anchor = "start" if i == 0 else "end" if i == count else "middle"
            if i < count and self.x(value) + len(text) * _LETTER_PX / 2 > room - _LETTER_PX:
                continue
            found.append(
                f'<text x="{self.x(value)}" y="{floor + 17}" text-anchor="{anchor}">{text}</text>'
            )
        return "".join(found)

    def beyond(self, values: Sequence[float]) -> str:
        """Return how many values lie beyond the axis, at its ends."""
        found = []
        for count, x, anchor, text in (
            (sum(value < self.low for value in values), _LEFT, "start", "below"),
            (sum(value > self.high for value in values), WIDTH - _RIGHT, "end", "above"),
        ):
            if count:
                place = f'x="{x}" y="{self.top + 2}" text-anchor="{anchor}"'
                found.append(f'<text class="beyond" {place}>{count} {text}</text>')
        return "".join(found)

    def limit(self, value: float) -> str:
        """Return a dashed line at a limit."""
        x = self.x(value)
        return f'<path class="limit" d="M{x} {self.top}V{HEIGHT - _BOTTOM}"/>'

    def band(self, number: int, band: Band) -> str:
        """Return a range with its middle and its text."""
        y = _TOP + _BAND_PX * number
        low, middle, high = map(self.x, (band.low, band.middle, band.high))
        return (
            f'<g class="band"><path d="M{low} {y}H{high}M{low} {y - 3}v6M{high} {y - 3}v6"/>'
            f'<circle cx="{middle}" cy="{y}" r="3"/>'
            f'<text x="{high + 6}" y="{y + 4}">{escape(band.text)}</text></g>'
        )


def _common_range(values: Sequence[float]) -> tuple[float, float]:
    """Return the range of values without those far from the middle half.

    >>> _common_range([10, 20, 30, 40, 50, 60, 70, 80, 90_000])
    (10, 80)
    """
    if len(values) < _FEWEST_FOR_RANGE:
        return min(values), max(values)
    first, _, third = quantiles(values, n=4)
    room = _FAR * (third - first)
    common = [value for value in values if first - room <= value <= third + room]
    return min(common), max(common)


def _nice(low: float, high: float) -> tuple[float, float, float]:
    """Return round ends and a round step of an axis.

    >>> _nice(12, 148)
    (0.0, 150.0, 50.0)
    """
    if high <= low:
        low, high = low - 1, high + 1
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(each * power for each in _STEPS if each * power >= raw)
    return math.floor(low / step) * step, math.ceil(high / step) * step, step


def _counts(values: Sequence[float], low: float, high: float, bins: int) -> list[int]:
    counts = [0] * bins
    for value in values:
        counts[max(0, min(int((value - low) / (high - low) * bins), bins - 1))] += 1
    return counts
