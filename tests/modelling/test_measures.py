"""Measures against scikit-learn, scikit-survival and lifelines."""

import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.utils import concordance_index
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import Pipeline
from sksurv.metrics import (
    brier_score,
    concordance_index_censored,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
    integrated_brier_score,
)
from small_studies import events_first

from pancseg.modelling import optimism
from pancseg.modelling.cross_validation.fitted_models import FittedModel
from pancseg.modelling.cross_validation.plan import FeatureBlock, ModelSpec, ValidationPlan
from pancseg.modelling.estimators.cox import CoxElasticNet, CoxFew, NoPredictors, kaplan_meier
from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.estimators.survival_forest import MartingaleForest
from pancseg.modelling.survival import SurvivalTask
from pancseg.modelling.validation import calibration, measures


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


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_survival_measures_are_scikit_survivals(seed, ties):
    y, train = outcome(seed, 80, ties), outcome(seed + 10, 120, ties)
    y = y[y["time"] < train["time"].max()]  # it refuses others
    theirs, of_train = (survival_outcome(o["event"], events_first(o["time"], o["event"]))
                        for o in (y, train))  # fmt: skip
    random = np.random.default_rng(seed)
    score = random.normal(size=len(y)).round(1)
    times = np.array([3.0, 6.5, 9.0, 12.0])
    curves = np.sort(random.random((len(y), len(times))), axis=1)[:, ::-1]
    tau = 12.0
    harrell = concordance_index_censored(y["event"], y["time"], score)[0]
    assert whole(score, measures.harrell_pairs(y))[0] == pytest.approx(harrell, abs=1e-9)
    uno = concordance_index_ipcw(of_train, theirs, score, tau=tau - 1e-6)[0]
    assert whole(score, measures.uno_pairs(y, train, tau))[0] == pytest.approx(uno, abs=1e-9)
    areas = cumulative_dynamic_auc(of_train, theirs, score, times)[0]
    for t, auc in zip(times, areas, strict=True):
        found = whole(score, measures.horizon_pairs(y, train, t))[0]
        assert found == pytest.approx(auc, abs=1e-9)
    errors = measures.squared_errors(y, train, curves, times)
    brier = brier_score(of_train, theirs, curves, times)[1]
    assert errors.mean(axis=0) == pytest.approx(brier, abs=1e-9)
    whole_score = measures.integrated(errors, times).mean()
    expected = integrated_brier_score(of_train, theirs, curves, times)
    assert whole_score == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("unit", [0.01, 1.0, 5.0])
def test_weights_for_censoring_sum_up_to_kaplan_meier_at_ties_too(unit):
    """Before, an event at t had the weight 1 / G(t): too many events, by up to a half."""
    random = np.random.default_rng(1)
    death, lost = random.exponential(10, (2, 200))
    y = survival_outcome(death <= lost, np.ceil(np.minimum(death, lost) / unit) * unit)
    times = np.array([2.0, 5.0, 10.0])
    assert measures.known_weights(y, y, times).mean(axis=0) == pytest.approx(1, abs=1e-12)
    all_die = measures.squared_errors(y, y, np.ones((200, 3)), times).mean(axis=0)
    assert all_die == pytest.approx(1 - kaplan_meier(y, times), abs=1e-12)


def test_rows_of_one_patient_are_drawn_together():
    groups = np.array(["a", "a", "b", "c", "c", "c"])
    weights = measures.bootstrap_weights(groups, 50, 0)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[0] == 1).all()


def test_the_calibration_line_is_a_logistic_regression():
    random = np.random.default_rng(0)
    logit = random.normal(size=200)
    y = (random.logistic(size=200) < 0.6 * logit + 0.3).astype(int)
    weights = np.vstack([np.ones(200), random.integers(0, 4, (3, 200))]).astype(float)
    slope, intercept = calibration.logistic_line(y, 1 / (1 + np.exp(-logit)), weights)
    for w, a, b in zip(weights, slope, intercept, strict=True):
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        model.fit(logit[:, None], y, sample_weight=w)
        assert a == pytest.approx(model.coef_[0, 0], abs=1e-5)
        assert b == pytest.approx(model.intercept_[0], abs=1e-5)


@pytest.mark.parametrize("ties", [False, True])
def test_the_cox_slope_is_lifelines(ties):
    y, random = outcome(4, 120, ties), np.random.default_rng(4)
    score, fold = random.normal(size=120), random.integers(0, 5, 120)
    weights = np.vstack([np.ones(120), random.integers(1, 4, (2, 120))]).astype(float)
    found = calibration.cox_slope(y, score, fold, weights)
    for w, slope in zip(weights, found, strict=True):
        frame = pd.DataFrame({"t": y["time"], "e": y["event"], "x": score, "f": fold, "w": w})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # weights are not frequencies, it says
            model = CoxPHFitter().fit(
                *(frame, "t", "e"),
                strata=["f"],
                weights_col="w",
                robust=True,
                fit_options={"precision": 1e-12, "r_precision": 1e-14},
            )
        assert slope == pytest.approx(model.params_["x"], abs=1e-6)


def test_no_calibration_without_variation_or_with_perfect_predictions():
    y, weights = np.tile([0, 1], 20), np.ones((1, 40))
    assert np.isnan(calibration.logistic_line(y, np.full(40, 0.5), weights)[0]).all()
    assert np.isnan(calibration.logistic_line(y, 0.1 + 0.8 * y, weights)[0]).all()
    cox = outcome(0, 40)
    assert np.isnan(calibration.cox_slope(cox, np.ones(40), np.zeros(40), weights)).all()
    assert np.isnan(calibration.cox_slope(cox, -cox["time"], np.zeros(40), weights)).all()


def test_the_forest_finds_a_threshold_that_no_cox_model_sees():
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 5))
    time = random.exponential(np.where(np.abs(x[:, 0]) > 0.7, 1.0, 6.0))
    y = survival_outcome(random.random(600) < 0.8, time)
    forest, cox = (
        MartingaleForest().fit(x[:400], y[:400]),
        CoxElasticNet(0.01).fit(x[:400], y[:400]),
    )
    pairs = measures.harrell_pairs(y[400:])
    assert whole(forest.predict(x[400:]), pairs)[0] > 0.65
    assert whole(cox.predict(x[400:]), pairs)[0] < 0.58
    curves = forest.predict_survival(x[400:], np.array([0.5, 2.0, 5.0]))
    assert (np.diff(curves, axis=1) <= 0).all()
    assert ((curves >= 0) & (curves <= 1)).all()


def test_the_threshold_parts_what_can_be_parted():
    y = np.array([0, 0, 1, 1])
    assert measures.best_threshold(y, np.array([0.1, 0.2, 0.6, 0.9])) == pytest.approx(0.4)


def test_an_interval_keeps_to_what_the_measure_can_be():
    random = np.random.default_rng(0)
    resampled = np.concatenate([[0.97], random.normal(0.97, 0.01, 500)])
    wide = measures.estimate(resampled, by_fold=np.array([0.8, 1.0, 1.0, 1.0, 1.0]))
    assert wide.high > 1
    assert wide.within(0, 1) == measures.Estimate(wide.value, wide.low, 1.0)


@pytest.mark.parametrize("levels", [3, 10_000])
@pytest.mark.parametrize("n", [7, 400])
def test_the_auc_by_ranks_is_that_of_all_pairs(levels, n):
    random = np.random.default_rng([n, levels])
    y, score = random.integers(0, 2, n), random.integers(0, levels, n) / levels
    pairs = [(np.arange(n), score, measures.class_pairs(y))]
    expected = measures.pair_measure(pairs, np.ones((1, n)))[0]
    assert measures.auc(y, score) == pytest.approx(expected, abs=1e-12)
    assert measures.auc(y, score) == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    assert np.isnan(measures.auc(np.ones(n), score))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "levels"), [(2, 3), (60, 5), (700, 10_000)])
def test_harrells_c_of_blocks_is_that_of_all_pairs(n, levels, ties):
    y = outcome(n, n, ties)
    score = np.random.default_rng([n, levels]).integers(0, levels, n) / levels
    expected = whole(score, measures.harrell_pairs(y))[0]
    assert measures.harrell(y, score) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert np.isnan(measures.harrell(y[:1], score[:1]))


def test_the_apparent_c_takes_no_array_of_all_pairs():
    n = 4000
    y = outcome(0, n)
    x = np.random.default_rng(0).normal(size=(n, 1))
    spec = ModelSpec("chosen", ("few",), (NoPredictors(),))
    block = FeatureBlock(x, ("a",), Pipeline([("as it is", "passthrough")]).fit(x))
    task = SurvivalTask(times=(5.0,), horizons=(5.0,), middle=5.0)
    plan = ValidationPlan(y, y["event"].astype(int), np.arange(n), {"few": block}, [spec], task)
    model = FittedModel(
        (block.preparation,), ("few",), CoxFew().fit(x, y), ("a",), np.ones(1), 0.0, 0
    )
    tracemalloc.start()
    found = optimism._judged(plan, model, np.arange(n), np.arange(n))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["Harrell's C"][0] == pytest.approx(
        concordance_index(y["time"], -model.model.predict(x), y["event"]), abs=1e-9
    )
    assert most < n * n  # bytes; one array of all pairs is eight times that


def test_a_brier_score_varies_as_predictions_do_and_not_as_weights_for_censoring():
    random = np.random.default_rng(5)
    death, lost = random.exponential(1.0, 80), random.exponential(1.5, 80)
    y = survival_outcome(death < lost, np.minimum(death, lost))
    times = np.quantile(y["time"][y["event"]], [0.2, 0.5, 0.8])
    weight = measures.known_weights(y, y, times)
    assert weight.mean(axis=0) == pytest.approx(1, abs=0.05)
    free = np.exp(-times) + random.uniform(-0.1, 0.1, (80, 3))
    errors = measures.squared_errors(y, y, free, times)
    steady = measures.steadied(errors, weight)
    assert steady.mean(axis=0) == pytest.approx(errors.mean(axis=0), rel=1e-12)
    assert (steady.std(axis=0) < errors.std(axis=0)).all()
    same = measures.squared_errors(y, y, np.full((80, 3), 0.5), times)
    assert same.std(axis=0).min() > 0.05
    assert measures.steadied(same, weight).std(axis=0) == pytest.approx(0, abs=1e-12)
