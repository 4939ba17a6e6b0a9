"""Owns the statistics over cases: summaries, bootstrap intervals, paired tests, Holm's correction.

Knows numbers only. A test that cannot be computed is NaN, never a warning.
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
    """One measure of one model over its cases; NaN where there are too few.

    Attributes:
        n: how many values there are.
        mean: their mean.
        std: sample standard deviation (n - 1).
        median: their median.
        ci_low: lower end of the bootstrap 95 % interval of the mean.
        ci_high: upper end.
        n_missing: how many cases have no value.
    """

    n: int
    mean: float
    std: float
    median: float
    ci_low: float
    ci_high: float
    n_missing: int


class Comparison(NamedTuple):
    """Two models on the cases that both have; p-values are two-sided, NaN if not computable.

    Attributes:
        n: how many cases both have.
        mean_a: mean of the first model over these.
        mean_b: mean of the second.
        difference: the first minus the second.
        difference_ci_low: lower end of the bootstrap 95 % interval of the mean difference.
        difference_ci_high: upper end.
        t_test_p: as published, Student's t-test of two independent samples with equal variances.
        paired_t_p: paired t-test.
        wilcoxon_p: Wilcoxon's signed-rank test; differences of zero are dropped.
        reason: why a p-value is missing or 1: ``few_cases``, ``no_difference``, ``no_spread``.
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
    """Summarise one measure; NaN values count as missing."""
    here = values[~np.isnan(values)]
    n_missing = len(values) - len(here)
    if not len(here):
        return Summary(0, NAN, NAN, NAN, NAN, NAN, n_missing)
    std = float(here.std(ddof=1)) if len(here) > 1 else NAN
    low, high = bootstrap_interval(here, seed)
    return Summary(len(here), float(here.mean()), std, float(np.median(here)), low, high, n_missing)


def bootstrap_interval(values: Values, seed: int) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean, resampling cases.

    NaN with fewer than two values.
    """
    if len(values) < 2:
        return NAN, NAN
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)


def compare(a: Values, b: Values, seed: int) -> Comparison:
    """Compare two models; ``a[i]`` and ``b[i]`` belong to one case, NaN drops that case."""
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
        t_test, wilcoxon = _student(a, b), float(stats.wilcoxon(difference).pvalue)
        if _spread(difference):
            paired_t = float(stats.ttest_1samp(difference, 0).pvalue)
        else:
            reason = "no_spread"
    return Comparison(
        len(a), means[0], means[1], means[2], low, high, t_test, paired_t, wilcoxon, reason
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given; NaN is no member of the family.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p, kind="stable") if not np.isnan(p[i])]
    steps = [(len(order) - rank) * p[i] for rank, i in enumerate(order)]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if steps else []
    return [float(value) for value in adjusted]


def _student(a: Values, b: Values) -> float:
    """Return the p-value of Student's t-test from means and deviations, which never warns."""
    if not (_spread(a) or _spread(b)):
        return NAN
    return float(
        stats.ttest_ind_from_stats(
            a.mean(), a.std(ddof=1), len(a), b.mean(), b.std(ddof=1), len(b)
        ).pvalue
    )


def _spread(values: Values) -> bool:
    """Whether values differ by more than rounding."""
    return bool(np.ptp(values) > 1e-12 * np.abs(values).max())
