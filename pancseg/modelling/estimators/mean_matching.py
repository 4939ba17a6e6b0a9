"""Predictive mean matching: whose value a row takes that lacks one."""

from __future__ import annotations

import numpy as np

DONORS = 5
_DIGITS = 9
"""Predictions, of columns of variance 1, that agree to so many digits are equal."""


def matched(known: np.ndarray, wanted: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return, for each row that lacks a value, the row whose value it takes.

    It is one of the five rows with the nearest predictions. Among rows of equal predictions, of
    which there are many where an equation has no continuous column, the five are chosen at random,
    anew for each row that lacks a value: otherwise few rows would give all values.

    Args:
        known: (n,) predictions of the rows that have the value, in standard deviations.
        wanted: (m,) predictions of the rows that lack it.
        random: source of the draws.

    Returns:
        (m,) indices of ``known``.
    """
    known = known.round(_DIGITS)
    order = np.argsort(known, kind="stable")
    ordered, donors = known[order], min(DONORS, len(known))
    window = np.searchsorted(ordered, wanted)[:, None] + np.arange(-donors, donors)
    outside = (window < 0) | (window >= len(ordered))
    window = window.clip(0, len(ordered) - 1)
    far = np.where(outside, np.inf, np.abs(ordered[window] - wanted[:, None]))
    rank = random.integers(donors, size=(len(wanted), 1))
    column = np.take_along_axis(np.argsort(far, axis=1, kind="stable"), rank, axis=1)
    value = ordered[np.take_along_axis(window, column, axis=1)[:, 0]]
    first = np.searchsorted(ordered, value, side="left")
    behind = np.searchsorted(ordered, value, side="right")
    return np.asarray(order[random.integers(first, behind)])
