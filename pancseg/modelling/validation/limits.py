"""Limit intervals at the edge, where all patients are ranked or called right and none can vary.

A bootstrap of 12 against 12 patients in perfect order finds perfect order in every resample. The
interval of a measure of rank is therefore never narrower than that of two normal groups of as many
patients in perfect order. Near the edge, too, the bootstrap's interval is too narrow, so that of a
share is never narrower than the exact one.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, pi, sqrt

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import beta

from pancseg.modelling.validation.measures import Estimate

_TAIL = 0.025
_CLASS_OF = {"sensitivity": 1, "specificity": 0}


@lru_cache(maxsize=256)
def perfect_order(positives: int, negatives: int) -> float:
    """Return the AUC at which perfect order of so many patients has a probability of 2.5 %.

    Both groups are normal with equal variance (Obuchowski and Lieber 2002, Acad Radiol 9:526): 0.90
    for 12 against 12.
    """
    if min(positives, negatives) < 1:
        return 0.0

    return float(ndtr(_distance(positives, negatives) / sqrt(2)))


@lru_cache(maxsize=256)
def perfect_precision(positives: int, negatives: int) -> float:
    """Return the average precision of the same two normal groups, in their proportion.

    It is the mean precision over the positive ones: 0.90 for 12 against 12.
    """
    if min(positives, negatives) < 1:
        return 0.0
    distance = _distance(positives, negatives)

    def precision(u: float) -> float:
        """Return the precision at u, on the scale of the negative ones, times the density there."""
        true, false = positives * ndtr(distance - u), negatives * ndtr(-u)
        density = exp(-((u - distance) ** 2) / 2) / sqrt(2 * pi)
        return float(true / (true + false) * density)

    return float(quad(precision, distance - 8, distance + 8, limit=200)[0])


@lru_cache(maxsize=256)
def _distance(positives: int, negatives: int) -> float:
    """Return the distance of two normal groups that are in perfect order in 2.5 % of samples."""

    def excess(distance: float) -> float:
        def density(u: float) -> float:
            highest = negatives * exp(-u * u / 2) * ndtr(u) ** (negatives - 1)
            return float(highest * ndtr(distance - u) ** positives / sqrt(2 * pi))

        return float(quad(density, -8, 8, limit=200)[0]) - _TAIL

    return 0.0 if excess(0.0) >= 0 else float(brentq(excess, 0.0, 14.0, xtol=1e-6))


def exact_share(share: float, count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a share of patients (Clopper and Pearson 1934).

    Args:
        share: the share.
        count: number of patients; of 0 the interval is 0 to 1.

    Example:
        >>> [round(end, 3) for end in exact_share(16 / 17, 17)]
        [0.713, 0.999]
    """
    hits = share * count
    low = beta.ppf(_TAIL, hits, count - hits + 1) if hits > 0 else 0.0
    high = beta.ppf(1 - _TAIL, hits + 1, count - hits) if hits < count else 1.0
    return float(low), float(high)


def honest(found: Estimate, measure: str, y: np.ndarray, groups: np.ndarray) -> Estimate:
    """Return an estimate whose interval is no narrower than its measure lets one be.

    Args:
        found: the estimate.
        measure: its name; only shares and measures of rank have such a limit.
        y: (n,) outcome.
        groups: (n,) patients.
    """
    if np.isnan(found.low):
        return found
    if measure in _CLASS_OF:
        exact = exact_share(found.value, len(np.unique(groups[y == _CLASS_OF[measure]])))
        return Estimate(found.value, min(found.low, exact[0]), max(found.high, exact[1]))
    if (low := _edge(measure, y, groups)) is None:
        return found
    if measure == "PR-AUC":  # its scale has no mirror: random ranks have the prevalence, not 0.5
        return Estimate(found.value, min(found.low, low), found.high)
    return Estimate(found.value, min(found.low, low), max(found.high, 1 - low))


def _edge(measure: str, y: np.ndarray, groups: np.ndarray) -> float | None:
    """Return the lower limit of a perfect result; None for a measure without an edge."""

    def patients(rows: np.ndarray) -> int:
        return len(np.unique(groups[rows]))

    if y.dtype.names is None:
        if measure == "AUC":
            return perfect_order(patients(y == 1), patients(y == 0))
        if measure == "PR-AUC":
            return perfect_precision(patients(y == 1), patients(y == 0))
        return None
    if measure.startswith("AUC at "):
        time = float(measure.removeprefix("AUC at "))
        return perfect_order(patients(y["event"] & (y["time"] <= time)), patients(y["time"] > time))
    if measure in ("Harrell's C", "Uno's C"):  # the earlier half of the events against the later
        half = patients(y["event"]) // 2
        return perfect_order(half, half)
    return None


def difference_of(a: Estimate, b: Estimate) -> Estimate:
    """Return a less b of two cohorts, with the interval of Zou and Donner (2008, Stat Med 27:1693).

    It needs the two 95 % intervals only, which need not be symmetric. NaN where one of them is.

    >>> difference_of(Estimate(0.75, 0.5, 1.0), Estimate(0.5, 0.5, 0.5))
    Estimate(value=0.25, low=0.0, high=0.5)
    """
    change = a.value - b.value
    down = np.hypot(a.value - a.low, b.high - b.value)
    up = np.hypot(a.high - a.value, b.value - b.low)
    return Estimate(change, float(change - down), float(change + up))
