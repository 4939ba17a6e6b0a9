"""Measures against scikit-learn, lifelines, dcurves and plain counting."""

import numpy as np
import pytest
from lifelines.utils import concordance_index
from sklearn.metrics import average_precision_score, roc_auc_score

from pancseg.outcomes import measures
from pancseg.outcomes.cox import (
    CoxElasticNet,
    censoring_survival,
    kaplan_meier,
    score_test,
    survival_outcome,
)


def outcome(seed=0, n=60, ties=True):
    random = np.random.default_rng(seed)
    time = random.exponential(10, n)
    return survival_outcome(random.random(n) < 0.6, time.round(0) + 1 if ties else time)


def whole(score, pairs, weights=None):
    n = len(score)
    weights = np.ones((1, n)) if weights is None else weights
    return measures.pair_measure([(np.arange(n), score, pairs)], weights)


@pytest.mark.parametrize("seed", range(5))
def test_auc_and_average_precision_are_scikit_learns(seed):
    random = np.random.default_rng(seed)
    y, score = random.integers(0, 2, 50), random.normal(size=50).round(1)
    weights = np.vstack([np.ones(50), random.integers(0, 4, (3, 50))]).astype(float)
    auc = whole(score, measures.class_pairs(y), weights)
    precision = measures.average_precision(y, score, weights)
    for w, a, p in zip(weights, auc, precision, strict=True):
        assert a == pytest.approx(roc_auc_score(y, score, sample_weight=w), abs=1e-9)
        assert p == pytest.approx(average_precision_score(y, score, sample_weight=w), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_harrells_c_is_lifelines(seed):
    y = outcome(seed)
    score = np.random.default_rng(seed).normal(size=len(y)).round(1)
    expected = concordance_index(y["time"], -score, y["event"])
    assert whole(score, measures.harrell_pairs(y))[0] == pytest.approx(expected, abs=1e-9)


def test_uno_and_horizon_and_brier_by_counting():
    y, t = outcome(3, ties=False), 8.0
    random = np.random.default_rng(3)
    score, survival = random.normal(size=len(y)), random.random((len(y), 1))
    g = {time: censoring_survival(y, np.array([time]))[0] for time in [*y["time"], t]}
    top = bottom = case_top = case_bottom = brier = 0.0
    for i in range(len(y)):
        ti, ei = y["time"][i], y["event"][i]
        if ei and ti <= t:
            brier += survival[i, 0] ** 2 / g[ti]
        elif ti > t:
            brier += (1 - survival[i, 0]) ** 2 / g[t]
        for j in range(len(y)):
            if ei and ti < t and ti < y["time"][j]:
                bottom += g[ti] ** -2
                top += g[ti] ** -2 * (score[i] > score[j])
            if ei and ti <= t < y["time"][j]:
                case_bottom += 1 / g[ti]
                case_top += (score[i] > score[j]) / g[ti]
    assert whole(score, measures.uno_pairs(y, y, t))[0] == pytest.approx(top / bottom, abs=1e-9)
    found = whole(score, measures.horizon_pairs(y, y, t))[0]
    assert found == pytest.approx(case_top / case_bottom, abs=1e-9)
    errors = measures.squared_errors(y, y, survival, np.array([t]))
    assert errors.mean() == pytest.approx(brier / len(y), abs=1e-9)


def test_censoring_is_lifelines_reverse_kaplan_meier():
    from lifelines import KaplanMeierFitter

    y = outcome(1, ties=False)
    curve = KaplanMeierFitter().fit(y["time"], ~y["event"])
    at = np.array([2.0, 5.0, 9.0])
    assert censoring_survival(y, at) == pytest.approx(curve.predict(at).to_numpy(), abs=1e-9)
    own = KaplanMeierFitter().fit(y["time"], y["event"])
    assert kaplan_meier(y, at) == pytest.approx(own.predict(at).to_numpy(), abs=1e-9)


@pytest.mark.parametrize("penalizer", [0.0, 0.05])
def test_the_quick_cox_fit_is_lifelines(penalizer):
    x = np.random.default_rng(0).normal(size=(150, 4))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    time = np.random.default_rng(1).exponential(np.exp(-x[:, 0]))
    y = survival_outcome(np.random.default_rng(2).random(150) < 0.7, time)
    exact = CoxElasticNet(penalizer, 0.5).fit(x, y)
    quick = CoxElasticNet(penalizer, 0.5, exact=False).fit(x, y)
    # lifelines rounds off the corner of the L1 penalty.
    assert quick.coef_ == pytest.approx(exact.coef_, abs=1e-3)
    if not penalizer:
        import pandas as pd
        from lifelines import CoxPHFitter

        frame = pd.DataFrame(x, columns=list("abcd")).assign(t=time, e=y["event"])
        model = CoxPHFitter().fit(frame, "t", "e")
        at = np.sort(y["time"][y["event"]])[[20, 50, 80]]  # between steps lifelines interpolates
        curves = model.predict_survival_function(frame.head(5), times=at).to_numpy().T
        assert exact.predict_survival(x[:5], at) == pytest.approx(curves, abs=1e-4)


def test_the_score_test_is_the_log_rank_statistic():
    from lifelines.statistics import logrank_test

    y = outcome(5, ties=False)
    group = np.random.default_rng(5).integers(0, 2, len(y)).astype(float)
    a, b = y[group == 1], y[group == 0]
    expected = logrank_test(a["time"], b["time"], a["event"], b["event"]).test_statistic
    assert score_test(group[:, None], y)[0] == pytest.approx(expected, abs=1e-9)


def test_rows_of_one_patient_are_drawn_together():
    groups = np.array(["a", "a", "b", "c", "c", "c"])
    weights = measures.bootstrap_weights(groups, 50, 0)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[0] == 1).all()


def test_the_calibration_line_of_true_probabilities():
    random = np.random.default_rng(0)
    logit = random.normal(size=20_000)
    y = (random.logistic(size=20_000) < logit).astype(int)
    slope, intercept = measures.calibration_line(y, 1 / (1 + np.exp(-logit)))
    assert slope == pytest.approx(1, abs=0.06)
    assert intercept == pytest.approx(0, abs=0.05)
    assert np.isnan(measures.calibration_line(y, np.full(20_000, 0.5))[0])


def test_the_threshold_parts_what_can_be_parted():
    y = np.array([0, 0, 1, 1])
    assert measures.best_threshold(y, np.array([0.1, 0.2, 0.6, 0.9])) == pytest.approx(0.4)
