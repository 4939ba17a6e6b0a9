"""Compute statistics over cases: summaries, bootstrap intervals, tests and Holm's correction.

A test that cannot be computed gives NaN and never a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 10_000
CONFIDENCE = 0.95
NAN = float("nan")

Values = NDArray[np.float64]


class Summary(NamedTuple):
    """One measure of one model over its cases; NaN where there are too few cases.

    Attributes:
        n: number of values.
        mean: their mean.
        std: sample standard deviation (n - 1).
        median: their median.
        ci_low: lower end of the bootstrap 95 % interval of the mean.
        ci_high: upper end of the same interval.
        n_missing: number of cases without a value.
    """

    n: int
    mean: float
    std: float
    median: float
    ci_low: float
    ci_high: float
    n_missing: int


class Comparison(NamedTuple):
    """Two models compared on their common cases; p-values are two-sided, NaN if not computable.

    Attributes:
        n: number of common cases.
        mean_a: mean of the first model over these cases.
        mean_b: mean of the second model.
        difference: mean of the first minus the second.
        difference_ci_low: lower end of the bootstrap 95 % interval of the mean difference.
        difference_ci_high: upper end of the same interval.
        t_test_p: Student's t-test of two independent samples with equal variances, as published.
        paired_t_p: paired t-test.
        wilcoxon_p: Wilcoxon's signed-rank test; differences of zero are dropped.
        reason: why a p-value is NaN or 1: ``few_cases``, ``no_difference`` or ``no_spread``; empty
            when all three tests were computed.
    """

    n: int
    mean_a: float
    mean_b: float
    difference: float
    difference_ci_low: float
    difference_ci_high: float
    t_test_p: float
    paired_t_p: float
    wilcoxon_p: float
    reason: str = ""


def summarise(values: Values, seed: int) -> Summary:
    """Return the summary of one measure.

    Args:
        values: one value per case; NaN counts as missing.
        seed: random seed of the bootstrap.
    """
    known = values[~np.isnan(values)]
    n_missing = len(values) - len(known)
    if not len(known):
        return Summary(0, NAN, NAN, NAN, NAN, NAN, n_missing)
    mean, median = float(known.mean()), float(np.median(known))
    std = float(known.std(ddof=1)) if len(known) > 1 else NAN
    low, high = bootstrap_interval(known, seed)
    return Summary(len(known), mean, std, median, low, high, n_missing)


def bootstrap_interval(values: Values, seed: int) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over resampled cases.

    Both ends are NaN if there are fewer than two values.
    """
    if len(values) < 2:
        return NAN, NAN
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)


def compare(a: Values, b: Values, seed: int) -> Comparison:
    """Compare two models on the cases for which both have a value.

    Args:
        a: one value per case of the first model; NaN where it has none.
        b: values of the second model for the same cases, in the same order.
        seed: random seed of the bootstrap.
    """
    both = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[both], b[both]
    difference = a - b
    means = [float(v.mean()) if len(v) else NAN for v in (a, b, difference)]
    low, high = bootstrap_interval(difference, seed)
    t_test = paired_t = wilcoxon = NAN
    reason = ""
    if len(a) < 2:
        reason = "few_cases"
    elif not difference.any():
        t_test = paired_t = wilcoxon = 1.0
        reason = "no_difference"
    else:
        t_test, wilcoxon = _student_p(a, b), float(stats.wilcoxon(difference).pvalue)
        if _varies(difference):
            paired_t = float(stats.ttest_1samp(difference, 0).pvalue)
        else:
            reason = "no_spread"
    return Comparison(
        len(a), means[0], means[1], means[2], low, high, t_test, paired_t, wilcoxon, reason
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values in the given order; NaN stays NaN and is not counted.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p, kind="stable") if not np.isnan(p[i])]
    steps = [(len(order) - rank) * p[i] for rank, i in enumerate(order)]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if steps else []
    return [float(value) for value in adjusted]


def _student_p(a: Values, b: Values) -> float:
    """Return the p-value of Student's t-test without scipy's warnings; NaN if nothing varies."""
    if not (_varies(a) or _varies(b)):
        return NAN
    return float(
        stats.ttest_ind_from_stats(
            a.mean(), a.std(ddof=1), len(a), b.mean(), b.std(ddof=1), len(b)
        ).pvalue
    )


def _varies(values: Values) -> bool:
    """Return whether the values differ by more than a rounding error."""
    return bool(np.ptp(values) > 1e-12 * np.abs(values).max())
