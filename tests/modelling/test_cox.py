"""The Cox fit, its curves and its score test against lifelines, scikit-survival and plain sums."""

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter, NelsonAalenFitter
from lifelines.statistics import logrank_test
from scipy.optimize import approx_fprime, minimize
from sksurv.linear_model import CoxPHSurvivalAnalysis

from pancseg.modelling.estimators.cox import CoxElasticNet, censoring_survival, kaplan_meier
from pancseg.modelling.estimators.cox_solver import newton_cox, score_test
from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.estimators.survival_forest import martingale_residuals

STRICT = {"precision": 1e-12, "r_precision": 1e-14}
PENALTIES = [(0.0, 0.0), (0.01, 0.0), (0.3, 0.0), (0.05, 0.5), (0.02, 1.0)]


def cohort(seed, unit, n=150, p=4):
    """Columns of mean 0 and standard deviation 1, as lifelines scales them, and times in ``unit``s.

    A unit of 0 means no ties.
    """
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, p))
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    death = random.exponential(4 * np.exp(-0.8 * x[:, 0] + 0.3 * x[:, 1]))
    censored = random.uniform(0, 8, n)
    time = np.minimum(death, censored)
    return x, survival_outcome(death <= censored, np.floor(time / unit) * unit if unit else time)


def efron_loss(beta, x, y):
    """Return −log partial likelihood per patient, event by event, as Efron wrote it down."""
    hazard, total = np.exp(x @ beta), 0.0
    for t in np.unique(y["time"][y["event"]]):
        died = y["event"] & (y["time"] == t)
        for k in range(died.sum()):
            at_risk = hazard[y["time"] >= t].sum() - k / died.sum() * hazard[died].sum()
            total += np.log(at_risk)
        total -= (x[died] @ beta).sum()
    return total / len(x)


@pytest.mark.parametrize(("penalizer", "l1_ratio"), PENALTIES)
@pytest.mark.parametrize("unit", [0, 1 / 12, 1, 3], ids=["no ties", "months", "years", "3 years"])
def test_coefficients_are_lifelines(unit, penalizer, l1_ratio):
    for seed in range(3):
        x, y = cohort(seed, unit)
        frame = pd.DataFrame(x, columns=list("abcd")).assign(t=y["time"], e=y["event"])
        model = CoxPHFitter(penalizer=penalizer, l1_ratio=l1_ratio)
        expected = model.fit(frame, "t", "e", fit_options=STRICT).params_.to_numpy()
        found = CoxElasticNet(penalizer, l1_ratio).fit(x, y).coef_
        if l1_ratio:  # lifelines rounds the corner of |β|, so that its zeros are not quite 0
            assert found == pytest.approx(expected, abs=1e-4)
            found, expected = found[found != 0], expected[found != 0]
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_coefficients_minimise_the_penalised_likelihood(l1_ratio):
    """Found by another minimiser, with β as the difference of two numbers that are not negative."""
    x, y = cohort(7, 1, n=60)

    def loss(halves):
        beta = halves[:4] - halves[4:]
        penalty = l1_ratio * halves.sum() + (1 - l1_ratio) / 2 * (beta**2).sum()
        return efron_loss(beta, x, y) + 0.05 * penalty

    bounds = [(0, None)] * 8
    strict = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000, "maxfun": 50000}
    best = minimize(loss, np.full(8, 0.1), method="L-BFGS-B", bounds=bounds, options=strict).x
    found = newton_cox(x, y, 0.05, l1_ratio)
    assert found == pytest.approx(best[:4] - best[4:], abs=1e-4)
    both = np.concatenate([found.clip(min=0), (-found).clip(min=0)])
    assert loss(both) <= loss(best) + 1e-12


def test_without_ties_it_is_breslows_model_and_with_few_nearly():
    for unit, tolerance in ((0, 1e-6), (0.01, 5e-3), (1, None)):
        x, y = cohort(3, unit)
        breslow = CoxPHSurvivalAnalysis(ties="breslow", tol=1e-12).fit(x, y).coef_
        found = newton_cox(x, y, 0.0, 0.0)
        if tolerance is None:  # many ties: Breslow's coefficients are drawn to 0
            assert breslow[0] < 0.9 * found[0]
        else:
            assert found == pytest.approx(breslow, abs=tolerance)


def test_the_baseline_hazard_is_efrons():
    x, y = cohort(0, 1)
    model = CoxElasticNet(0.05, 0.5).fit(x, y)
    hazard, expected, total = np.exp(x @ model.coef_), [], 0.0
    for t in np.unique(y["time"][y["event"]]):
        died = y["event"] & (y["time"] == t)
        for k in range(died.sum()):
            total += 1 / (hazard[y["time"] >= t].sum() - k / died.sum() * hazard[died].sum())
        expected.append(total)
    assert model.cumulative_hazard_ == pytest.approx(expected, rel=1e-10)
    curve = np.exp(-np.outer(hazard[:5], [0.0, *expected]))
    at = np.array([-1.0, *model.times_])
    assert model.predict_survival(x[:5], at) == pytest.approx(curve, rel=1e-10)


def test_the_baseline_of_no_effect_is_fleming_and_harringtons():
    _, y = cohort(1, 1)
    model = CoxElasticNet().fit(np.zeros((len(y), 1)), y)
    known = NelsonAalenFitter(nelson_aalen_smoothing=True).fit(y["time"], y["event"])
    expected = known.cumulative_hazard_at_times(model.times_).to_numpy()
    assert model.cumulative_hazard_ == pytest.approx(expected, abs=1e-9)


def test_survival_curves_are_lifelines():
    x, y = cohort(4, 0)
    frame = pd.DataFrame(x, columns=list("abcd")).assign(t=y["time"], e=y["event"])
    known = CoxPHFitter().fit(frame, "t", "e", fit_options=STRICT)
    at = np.sort(y["time"][y["event"]])[[20, 50, 80]]  # between steps lifelines interpolates
    curves = known.predict_survival_function(frame.head(5), times=at).to_numpy().T
    found = CoxElasticNet(0.0, 0.0).fit(x, y).predict_survival(x[:5], at)
    assert found == pytest.approx(curves, abs=1e-6)


def test_correlated_columns_and_outliers_are_fitted():
    x, y = cohort(5, 1)
    x[:, 3] = x[:, 0] + 1e-3 * x[:, 3]
    x[0] = 12  # as far as scaling leaves one of 150 patients
    for penalizer, l1_ratio in ((0.0, 0.0), (0.01, 0.0), (0.05, 0.5)):
        found = newton_cox(x, y, penalizer, l1_ratio)
        centred = x - x.mean(axis=0)
        slope = approx_fprime(found, efron_loss, 1e-7, centred, y)
        slope += penalizer * (1 - l1_ratio) * found
        used, l1 = found != 0, penalizer * l1_ratio
        assert slope[used] == pytest.approx(-l1 * np.sign(found[used]), abs=1e-4)
        assert (np.abs(slope[~used]) <= l1 + 1e-4).all()


def test_what_separates_perfectly_gives_numbers():
    y = survival_outcome(np.ones(20, bool), np.repeat(np.arange(4.0), 5))
    found = CoxElasticNet(0.0, 0.0).fit(-y["time"][:, None], y)
    assert np.isfinite(found.coef_).all()
    assert found.coef_[0] > 5
    assert np.isfinite(found.predict_survival(np.array([[-9.0]]), y["time"])).all()


def test_without_events_nothing_is_found():
    x, y = cohort(6, 1)
    y["event"] = False
    model = CoxElasticNet(0.1, 0.5).fit(x, y)
    assert not model.coef_.any()
    assert (model.predict_survival(x, np.array([1.0, 5.0])) == 1).all()


def test_what_the_lasso_removed_is_zero():
    random = np.random.default_rng(0)
    x = random.normal(size=(100, 6))
    y = survival_outcome(random.random(100) < 0.7, random.exponential(np.exp(-x[:, 0])))
    found = CoxElasticNet(0.1, 1.0).fit(x, y).coef_
    assert found[0] != 0
    assert (found == 0).any()


def test_the_score_test_is_the_log_rank_statistic():
    _, y = cohort(5, 0)
    group = np.random.default_rng(5).integers(0, 2, len(y)).astype(float)
    a, b = y[group == 1], y[group == 0]
    expected = logrank_test(a["time"], b["time"], a["event"], b["event"]).test_statistic
    assert score_test(group[:, None], y)[0] == pytest.approx(expected, abs=1e-9)


def test_the_score_test_is_of_the_likelihoods_slope_and_curvature():
    x, y = cohort(2, 1, n=50)
    for column, found in zip(x.T, score_test(x, y), strict=True):
        step, values = 1e-3, column[:, None]
        low, mid, high = (len(y) * efron_loss([b], values, y) for b in (-step, 0, step))
        slope, curvature = (high - low) / (2 * step), (high - 2 * mid + low) / step**2
        assert found == pytest.approx(slope**2 / curvature, rel=1e-4)


@pytest.mark.parametrize("unit", [0, 1])
def test_curves_of_whole_cohorts_are_lifelines(unit):
    _, y = cohort(1, unit)
    at = np.array([0.0, 0.5, 2.0, 5.0, 99.0])
    own = KaplanMeierFitter().fit(y["time"], y["event"])
    assert kaplan_meier(y, at) == pytest.approx(own.predict(at).to_numpy(), abs=1e-9)
    if not unit:
        curve = KaplanMeierFitter().fit(y["time"], ~y["event"])
        assert censoring_survival(y, at) == pytest.approx(curve.predict(at).to_numpy(), abs=1e-9)


@pytest.mark.parametrize("unit", [0, 1])
def test_martingale_residuals_sum_to_zero(unit):
    assert martingale_residuals(cohort(2, unit)[1]).sum() == pytest.approx(0, abs=1e-9)


def test_martingale_residuals_are_efrons():
    """By hand: three of five die at time 1, one at time 2."""
    y = survival_outcome(np.array([1, 1, 1, 0, 1], bool), np.array([1.0, 1, 1, 1.5, 2]))
    survived = 1 / 5 + 1 / 4 + 1 / 3
    died = 1 / 5 + 2 / 3 / 4 + 1 / 3 / 3
    expected = [1 - died] * 3 + [-survived, 1 - survived - 1]
    assert martingale_residuals(y) == pytest.approx(expected)
