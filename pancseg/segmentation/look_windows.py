"""Describe the windows of a second look: their size, their pixels, and how far they reach."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from pancseg.system.ranges import within
from pancseg.system.yaml_file import FrozenModel

LARGEST_SIZE = 1024
"""Most rows and columns of a network's slices. A CT has 512; memory grows with their square."""

_Side = Annotated[int, Field(ge=16, le=LARGEST_SIZE, multiple_of=16)]


def _rising(pixels_mm: tuple[float, float]) -> tuple[float, float]:
    low, high = pixels_mm
    if not low <= high:
        raise ValueError(f"the smallest pixel, {low:g} mm, is larger than the largest, {high:g} mm")
    return pixels_mm


_PixelMm = Annotated[float, within(0.3, 10, "mm")]


class LookWindows(FrozenModel):
    """The windows that a second look's network sees, around what a first look found.

    Attributes:
        size: rows and columns of a window, as in training.
        pixel_mm: smallest and largest pixel that the network was trained on. A scan's own pixels
            are used if they are between these; others are resampled to the nearer of the two.
        reach_mm: what the second look finds counts up to this distance, within its slice, from
            what the first look found.
        margin_mm: the second look also sees slices up to this distance above and below.
    """

    size: tuple[_Side, _Side]
    pixel_mm: Annotated[tuple[_PixelMm, _PixelMm], AfterValidator(_rising)] = (0.66, 0.98)
    reach_mm: Annotated[float, within(1, 200, "mm")] = 20.0
    margin_mm: Annotated[float, within(0, 200, "mm")] = 10.0

    @property
    def in_words(self) -> str:
        """The size as text, such as ``192×256``."""
        return "×".join(map(str, self.size))
