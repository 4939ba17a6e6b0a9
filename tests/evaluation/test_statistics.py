"""Summaries, intervals and tests against scipy, published examples and degenerate input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from pancseg.evaluation.statistics import bootstrap_interval, compare, holm, summarise

RNG = np.random.default_rng(11)
A = RNG.uniform(0.5, 0.9, 20)
B = A - RNG.normal(0.03, 0.04, 20)
NAN = float("nan")


def test_holm_agrees_with_golden_numbers() -> None:
    """Golden: statsmodels 0.15 ``multipletests(p, method="holm")``."""
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.2, 0.0001, 0.03, 0.5, 0.03]) == pytest.approx([0.4, 0.0005, 0.12, 0.5, 0.12])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_leaves_missing_p_values_out_of_the_family() -> None:
    first, missing, last = holm([0.01, NAN, 0.04])
    assert (first, last) == pytest.approx((0.02, 0.04))
    assert np.isnan(missing)


def test_tests_are_scipys() -> None:
    found = compare(A, B, seed=0)
    assert found.n == 20
    assert found.difference == pytest.approx(A.mean() - B.mean())
    assert found.t_test_p == pytest.approx(stats.ttest_ind(A, B).pvalue)
    assert found.paired_t_p == pytest.approx(stats.ttest_rel(A, B).pvalue)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(A, B).pvalue)
    assert found.difference_ci_low < found.difference < found.difference_ci_high


def test_only_cases_of_both_models_are_compared() -> None:
    a, b = A.copy(), B.copy()
    a[0] = b[1] = NAN
    assert compare(a, b, seed=0) == compare(A[2:], B[2:], seed=0)


def test_order_of_models_does_not_change_a_p_value() -> None:
    there, back = compare(A, B, seed=0), compare(B, A, seed=0)
    assert there[6:9] == pytest.approx(back[6:9])


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_cases_give_no_p_value(n: int) -> None:
    found = compare(A[:n], B[:n], seed=0)
    assert found.reason == "few_cases"
    assert np.isnan(found[4:9]).all()


@pytest.mark.parametrize("values", [A, np.ones(5), np.zeros(2)])
def test_models_that_agree_everywhere_have_p_1(values: np.ndarray) -> None:
    found = compare(values, values, seed=0)
    assert found[6:9] == (1.0, 1.0, 1.0)
    assert (found.difference, found.reason) == (0.0, "no_difference")


def test_a_difference_without_spread_has_no_t_test() -> None:
    found = compare(np.full(8, 0.9), np.full(8, 0.8), seed=0)
    assert found.reason == "no_spread"
    assert np.isnan([found.t_test_p, found.paired_t_p]).all()
    assert found.wilcoxon_p == pytest.approx(2 / 2**8)


def test_one_model_without_spread_is_no_problem() -> None:
    found = compare(np.ones(20), B, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's about a sample without spread
        assert found.t_test_p == pytest.approx(stats.ttest_ind(np.ones(20), B).pvalue)


def test_summary_is_numpys_and_counts_what_is_missing() -> None:
    found = summarise(np.r_[A, NAN, NAN], seed=0)
    assert (found.n, found.n_missing) == (20, 2)
    assert found[1:4] == pytest.approx((A.mean(), A.std(ddof=1), np.median(A)))
    one = summarise(A[:1], seed=0)
    assert (one.n, one.mean) == (1, A[0])
    assert np.isnan([one.std, one.ci_low, one.ci_high]).all()
    none = summarise(np.array([NAN]), seed=0)
    assert (none.n, none.n_missing) == (0, 1)


def test_bootstrap_agrees_with_scipys_and_repeats_itself() -> None:
    low, high = bootstrap_interval(A, 0)
    theirs = stats.bootstrap((A,), np.mean, method="percentile").confidence_interval
    assert (low, high) == pytest.approx(tuple(theirs), abs=0.004)
    assert bootstrap_interval(A, 0) == (low, high)
    assert bootstrap_interval(A, 1) != (low, high)


def test_bootstrap_interval_holds_the_mean_95_times_in_100() -> None:
    rng = np.random.default_rng(2)
    samples = rng.normal(0.0, 1.0, (200, 40))
    held = [low <= 0 <= high for low, high in (bootstrap_interval(s, 0) for s in samples)]
    assert 0.90 <= np.mean(held) <= 0.98
