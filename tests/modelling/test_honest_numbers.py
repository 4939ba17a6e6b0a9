"""Intervals at the edge, PR-AUC of random scores, calibration, net benefit, risk groups, canary."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import median_survival_times
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import Pipeline
from small_studies import classes, features, study, times

from pancseg.modelling.analysis.analyse import analyse
from pancseg.modelling.analysis.measure_names import main_measure
from pancseg.modelling.analysis.performance import Judge
from pancseg.modelling.analysis.workload import steps_of
from pancseg.modelling.cross_validation.out_of_fold import OutOfFold, ValidationResult
from pancseg.modelling.estimators.cox import CoxElasticNet, CoxRidge
from pancseg.modelling.estimators.logistic import LogisticRidge, newton_logistic
from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.report.report import _canary
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.validation import calibration
from pancseg.modelling.validation.canary import judged
from pancseg.modelling.validation.comparison import added
from pancseg.modelling.validation.kaplan_meier import median_time
from pancseg.modelling.validation.limits import (
    exact_share,
    honest,
    perfect_order,
    perfect_precision,
)
from pancseg.modelling.validation.measures import (
    Estimate,
    average_precision,
    bootstrap_weights,
    estimate,
    random_precision,
)
from pancseg.modelling.validation.net_benefit import class_status, net_benefit, status_at
from pancseg.modelling.validation.observed_expected import observed_over_expected
from pancseg.modelling.validation.risk_groups import risk_groups


def test_perfect_order_of_12_against_12_is_compatible_with_an_auc_of_0_90():
    limit = perfect_order(12, 12)
    assert limit == pytest.approx(0.90, abs=0.01)
    from scipy.stats import norm

    random, distance = np.random.default_rng(0), norm.ppf(limit) * np.sqrt(2)
    draws = random.normal(size=(40_000, 24))
    perfect = (draws[:, :12] + distance).min(axis=1) > draws[:, 12:].max(axis=1)
    assert perfect.mean() == pytest.approx(0.025, abs=0.003)
    assert perfect_order(100, 100) > perfect_order(30, 30) > limit


@pytest.mark.parametrize(("positives", "negatives"), [(12, 12), (5, 50), (70, 30)])
def test_the_average_precision_of_two_normal_groups_is_that_of_a_large_sample(positives, negatives):
    """PR-AUC 1.000 was printed with the interval 1.000 to 1.000 for 12 against 12."""
    from scipy.stats import norm
    from sklearn.metrics import average_precision_score

    distance = norm.ppf(perfect_order(positives, negatives)) * np.sqrt(2)
    y = np.repeat([1, 0], [4000 * positives, 4000 * negatives])
    score = np.random.default_rng(1).normal(size=len(y)) + distance * y
    expected = average_precision_score(y, score)
    assert perfect_precision(positives, negatives) == pytest.approx(expected, abs=0.005)


def test_two_perfect_models_are_not_shown_to_be_equal():
    """Their difference in AUC was 0.000, 95 % interval 0.000 to 0.000."""
    y = np.repeat([0, 1], 12)
    s = study(features(0, n=24, p=3), y)
    folds = np.resize([0, 1, 2], (1, 24))
    score = y[None] * 0.8 + 0.1
    each = OutOfFold(score, np.full((1, 24), 0.5), None, ({"f0": 1.0},) * 3, (0,) * 3)
    settings = ModelSettings(kind="subtype", folds=3, repeats=1, resamples=100)
    models = {"radiomics": each, "volume only": each}
    judge = Judge(s, settings, ValidationResult(folds, models))
    found = judge.compared("radiomics", "volume only").discrimination
    limit = perfect_order(12, 12)
    assert (found.value, found.low, found.high) == pytest.approx((0, limit - 1, 1 - limit))


def test_one_model_under_two_names_has_no_difference():
    """A table of one feature that is the volume: AUC 0.704 twice, difference −0.128 to 0.128."""
    y = np.repeat([0, 1], 12)
    s = study(features(0, n=24, p=3), y)
    folds = np.resize([0, 1, 2], (1, 24))
    score = np.random.default_rng(0).random((1, 24)) + 0.6 * y
    full = np.full((1, 24), 0.5)
    models = {
        "radiomics": OutOfFold(score, full, None, ({"f0": 1.0},) * 3, (0,) * 3),
        "volume only": OutOfFold(score / 3, full, None, ({"f0": 1.0},) * 3, (0,) * 3),
    }
    settings = ModelSettings(kind="subtype", folds=3, repeats=1, resamples=100)
    judge = Judge(s, settings, ValidationResult(folds, models))
    assert 0.5 < judge.estimates("radiomics")["AUC"].value < 1
    found = judge.compared("radiomics", "volume only").discrimination
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_two_models_that_rank_the_wrong_way_round_are_not_shown_to_differ():
    """With the second counted as 0.5, the first was told to be worse (n = 200: in 8 % of noise).

    What is told to be better stays as it was: the lower end is that of the difference from 0.5.
    """
    random, y = np.random.default_rng(0), np.repeat([0, 1], 30)
    s = study(features(0, n=60, p=3), y)
    folds = np.resize([0, 1, 2], (1, 60))

    def ranked(shift):
        score = random.random((1, 60)) + shift * y
        return OutOfFold(score, np.full((1, 60), 0.5), None, ({"f0": 1.0},) * 3, (0,) * 3)

    good, bad, worse = ranked(0.6), ranked(-0.3), ranked(-0.3)
    models = {"radiomics": bad, "volume only": worse, "clinical + radiomics": good}
    settings = ModelSettings(kind="subtype", folds=3, repeats=1, resamples=200)
    judge = Judge(s, settings, ValidationResult(folds, models))
    auc, fold = ({n: part[n]["AUC"] for n in models} for part in (judge.values, judge.folds))
    assert all(np.percentile(auc[n], 97.5) < 0.5 for n in ("radiomics", "volume only"))
    found = judge.compared("radiomics", "volume only").discrimination
    assert found.value == pytest.approx(auc["radiomics"][0] - 0.5)
    assert found.value < 0 < found.high
    better = judge.compared("clinical + radiomics", "volume only").discrimination
    less = fold["clinical + radiomics"] - fold["volume only"]
    clipped = estimate(auc["clinical + radiomics"] - np.maximum(auc["volume only"], 0.5), less, 5)
    assert (better.value, better.low) == pytest.approx((clipped.value, clipped.low))
    assert better.low > 0


def test_trees_without_a_split_are_not_surer_than_random_ranks():
    """Boosting of 16 patients has no split, "used" is all it saw: AUC 0.500 (0.500 to 0.500)."""
    y = np.arange(24) % 2
    s = study(features(0, n=24, p=3), y)
    folds = np.resize([0, 0, 1, 1, 2, 2], (1, 24))
    constant = np.full((1, 24), 0.5)
    flat = OutOfFold(constant, constant, None, ({"f0": 1.0},) * 3, (0,) * 3, (True,) * 3)
    settings = ModelSettings(kind="subtype", folds=3, repeats=1, resamples=100)
    judge = Judge(s, settings, ValidationResult(folds, {"radiomics": flat}))
    found = judge.estimates("radiomics")["AUC"]
    assert found.value == 0.5
    assert found.high - found.low > 0.4


def test_a_model_of_a_rare_column_is_not_flat_where_a_fold_has_none_of_it():
    """Such a fold is all ties, but the model is not: the fold counted as random ranks."""
    from pancseg.modelling import subtype
    from pancseg.modelling.analysis.degenerate_models import flat_share
    from pancseg.modelling.cross_validation.nested_cv import validate
    from pancseg.modelling.cross_validation.plan import FeatureBlock, ModelSpec

    y, x, patients = np.arange(60) % 3 % 2, np.zeros((60, 1)), np.arange(60)
    x[:12] = 1.0
    patients[:12] //= 4  # three patients of four rows: two folds or more have none of them
    rare = ModelSpec("rare", ("radiomics",), (LogisticRidge(0.5),))
    none = ModelSpec("none", (), subtype.chance())
    block = FeatureBlock(x, ("a",), Pipeline([("as it is", "passthrough")]))
    plan = replace(study(x, y), specs=[rare, none], groups=patients)
    found = validate(replace(plan, blocks={"radiomics": block}))
    score, folds = found.models["rare"].score[0], found.folds[0]
    assert any(np.ptp(score[folds == fold]) == 0 for fold in range(5))
    assert flat_share(found, "rare") == 0
    assert flat_share(found, "none") == 1


def test_intervals_at_the_edge_are_honest():
    y, groups = np.repeat([0, 1], 12), np.arange(24)
    sure = Estimate(1.0, 1.0, 1.0)
    assert honest(sure, "AUC", y, groups).low == pytest.approx(0.90, abs=0.01)
    assert honest(sure, "AUC", y, groups).high == 1
    assert honest(sure, "sensitivity", y, groups).low == pytest.approx(0.735, abs=0.001)
    assert exact_share(1.0, 12)[0] ** 12 == pytest.approx(0.025)
    most = honest(Estimate(11 / 12, 0.8, 1.0), "sensitivity", y, groups)  # as R's binom.test
    assert (most.low, most.high) == (pytest.approx(0.6152, abs=1e-4), 1.0)
    never = honest(Estimate(0.0, 0.0, 0.0), "specificity", y, groups)
    assert never.high == pytest.approx(0.265, abs=0.001)
    assert honest(sure, "Brier", y, groups) == sure
    assert honest(sure, "PR-AUC", y, groups).low == perfect_precision(12, 12)
    rare, low = np.repeat([1, 0], [5, 200]), Estimate(0.10, 0.06, 0.18)
    assert honest(low, "PR-AUC", rare, np.arange(205)) == low  # 0.06 to 0.391, mirrored
    wide = Estimate(0.7, 0.5, 0.9)
    assert honest(wide, "AUC", y, groups).low == 0.5
    twice = honest(sure, "AUC", y, np.arange(24) // 2)  # 12 patients with two rows each
    assert twice.low == perfect_order(6, 6)
    cox = survival_outcome(np.ones(24, bool), np.arange(24.0))
    assert honest(sure, "Harrell's C", cox, groups).low == perfect_order(12, 12)
    assert honest(sure, "AUC at 11", cox, groups).low == perfect_order(12, 12)


def test_random_scores_get_what_the_row_of_chance_says():
    random, y = np.random.default_rng(0), np.repeat([1, 0], [12, 53])
    found = [average_precision_score(y, random.random(65)) for _ in range(4000)]
    assert random_precision(12, 65) == pytest.approx(np.mean(found), abs=0.003)
    assert random_precision(12, 65) > 12 / 65 + 0.03


def test_random_scores_do_not_beat_chance_in_pr_auc():
    above, y = 0, np.repeat([1, 0], [12, 53])
    for seed in range(60):
        random = np.random.default_rng(seed)
        scores = 0.3 * random.random((3, 65)) + 0.7 * random.random(65)
        weights = bootstrap_weights(np.arange(65), 200, seed)
        values = np.mean([average_precision(y, score, weights) for score in scores], axis=0)
        above += estimate(values).low > random_precision(12, 65)
    assert above <= 4


def test_pr_auc_is_of_all_patients_of_a_repeat():
    x = features(0, n=60, p=5)
    s = study(x, classes(x, 1.0, 0), repeats=2)
    settings = ModelSettings(kind="subtype", folds=3, repeats=2, resamples=100)
    from pancseg.modelling.cross_validation.nested_cv import validate

    found = validate(s)
    values = Judge(s, settings, found).values["radiomics"]["PR-AUC"]
    expected = [average_precision_score(s.y, score) for score in found.models["radiomics"].score]
    assert values[0] == pytest.approx(np.mean(expected), abs=1e-9)


def test_calibration_in_the_large_fixes_the_slope():
    random = np.random.default_rng(0)
    logit = 2 * random.normal(size=3000) + 0.5
    y = (random.logistic(size=3000) < 0.5 * logit + 0.8).astype(int)  # wrong slope, wrong level
    p = 1 / (1 + np.exp(-logit))
    weights = np.vstack([np.ones(3000), random.integers(0, 4, (2, 3000))]).astype(float)
    found = calibration.in_the_large(y, p, weights)
    for w, a in zip(weights, found, strict=True):
        shifted = 1 / (1 + np.exp(-(logit + a)))
        assert (w * (y - shifted)).sum() == pytest.approx(0, abs=1e-6)
    _, joint = calibration.logistic_line(y, p, weights)
    assert abs(joint[0] - found[0]) > 0.05


def test_the_smooth_curve_is_a_local_line_and_ici_its_distance():
    random = np.random.default_rng(1)
    risk = random.uniform(0.05, 0.95, 600)
    y = (random.random(600) < risk).astype(int)
    weights = bootstrap_weights(np.arange(600), 200, 0)
    status = class_status(y)[None]
    good = calibration.smooth_curve(risk[None], status, weights)
    assert good.ici.value < 0.04
    assert ((good.low <= good.risk) & (good.risk <= good.high)).mean() > 0.8
    ratio = estimate(observed_over_expected(y, risk, weights))
    assert ratio.value == pytest.approx(y.mean() / risk.mean(), rel=1e-12)
    assert ratio.low < 1 < ratio.high
    at = good.risk[10]
    distance = np.abs(risk - at)
    reach = np.sort(distance)[450 - 1]  # of three quarters of the patients, as in R's loess
    kernel = (1 - np.clip(distance / reach, 0, 1) ** 3) ** 3
    line = np.polyfit(risk, y, 1, w=np.sqrt(kernel))
    assert good.observed[10] == pytest.approx(np.polyval(line, at), abs=1e-6)
    extreme = np.clip(0.5 + 1.8 * (risk - 0.5), 0.01, 0.99)
    bad = calibration.smooth_curve(extreme[None], status, weights)
    assert bad.ici.low > 0.08
    assert bad.observed[-1] < bad.risk[-1] - 0.1
    assert calibration.smooth_curve(np.full((1, 600), 0.5), status, weights) is None


def test_net_benefit_is_that_of_its_definition_and_survival_without_censoring_is_a_class():
    random = np.random.default_rng(2)
    risk, y = random.random(80), random.integers(0, 2, 80)
    at = np.array([0.2, 0.5])
    found = net_benefit(risk, class_status(y), at).mean(axis=0)
    for t, value in zip(at, found, strict=True):
        true, false = ((risk >= t) & (y == c) for c in (1, 0))
        assert value == pytest.approx(true.mean() - false.mean() * t / (1 - t))
    time = np.where(y == 1, 1.0, 9.0)
    cox = survival_outcome(np.ones(80, bool), time)
    assert status_at(cox, cox, 5.0) == pytest.approx(class_status(y))


def test_censored_patients_are_stood_for_by_others():
    random = np.random.default_rng(3)
    death, lost = random.exponential(10, 4000), random.exponential(15, 4000)
    y = survival_outcome(death <= lost, np.minimum(death, lost))
    status = status_at(y, y, 8.0)
    assert status[:, 0].mean() == pytest.approx((death <= 8).mean(), abs=0.02)
    assert status.sum() == pytest.approx(4000, rel=0.03)


def test_the_likelihood_ratio_is_scikit_learns():
    random = np.random.default_rng(0)
    base, more = random.normal(size=(2, 150))
    y = (random.logistic(size=150) < base + 0.4 * more).astype(int)
    a, b = (1 / (1 + np.exp(-score)) for score in (more, base))
    folds = np.zeros((1, 150), int)

    def likelihood(x):
        p = LogisticRegression(C=np.inf, tol=1e-10).fit(x, y).predict_proba(x)[:, 1]
        return np.log(np.where(y == 1, p, 1 - p)).sum()

    ratio = 2 * (likelihood(np.column_stack([base, more])) - likelihood(base[:, None]))
    from scipy.stats import chi2

    assert added(y, a[None], b[None], folds) == pytest.approx(chi2.sf(ratio, 1) / 2, rel=0.05)
    assert added(y, 1 - a[None], b[None], folds) > 0.5  # opposed to the outcome: no gain
    assert added(y, b[None], b[None], folds) == 1
    assert added(y, np.full((1, 150), 0.4), b[None], folds) == 1


def test_a_score_of_noise_adds_at_the_stated_level_only():
    small = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        base, more = random.normal(size=(2, 80))
        death = random.exponential(np.exp(-base))
        y = survival_outcome(random.random(80) < 0.7, death)
        small += added(y, more[None], base[None], np.arange(80)[None] % 3) < 0.05
    assert small <= 11


def test_risk_groups_have_a_direction_and_lifelines_numbers():
    random = np.random.default_rng(0)
    x = random.normal(size=200)
    y = times(x[:, None], 1.2, 0)
    model = OutOfFold(x[None], np.zeros((1, 200)), None, (), ())
    weights = bootstrap_weights(np.arange(200), 200, 0)
    strata = np.zeros((1, 200), int)
    found = risk_groups(y, model, strata, weights, 1.0)
    frame = pd.DataFrame({"t": y["time"], "e": y["event"], "high": (x > 0).astype(float)})
    expected = CoxPHFitter().fit(frame, "t", "e").hazard_ratios_["high"]
    assert found.ratio.value == pytest.approx(expected, rel=1e-4)
    assert found.ratio.low > 1
    for group in (found.high, found.low):
        mine = y[group.rows]
        curve = KaplanMeierFitter().fit(mine["time"], mine["event"])
        assert group.median.value == pytest.approx(curve.median_survival_time_)
        ends = median_survival_times(curve.confidence_interval_).to_numpy()[0]
        found_ends = np.nan_to_num([group.median.low, group.median.high], nan=np.inf)
        assert found_ends == pytest.approx(ends)
        assert group.at_risk[0] == group.rows.sum()
    assert found.high.median.value < found.low.median.value
    wrong = OutOfFold(-x[None], np.zeros((1, 200)), None, (), ())
    assert risk_groups(y, wrong, strata, weights, 1.0).ratio.high < 1
    assert risk_groups(y, OutOfFold(x[None], x[None], None, (), ()), strata, weights, 1.0) is None
    assert np.isnan(median_time(survival_outcome(np.zeros(5, bool), np.ones(5))).value)


def test_models_that_use_nothing_are_not_surer_than_random_ranks():
    y = np.arange(100) % 2
    s = study(features(0), y, repeats=2)
    folds = np.tile(np.arange(100) // 2 % 3, (2, 1))
    constant = np.full((2, 100), 0.5)
    nothing = OutOfFold(constant, constant, None, ({},) * 6, (0,) * 6, (True,) * 6)
    settings = ModelSettings(kind="subtype", folds=3, repeats=2, resamples=100)
    judge = Judge(s, settings, ValidationResult(folds, {"radiomics": nothing}))
    found = judge.estimates("radiomics")[main_measure("subtype")]
    assert found.value == 0.5
    assert found.high == pytest.approx(0.5 + 1.96 * np.sqrt(101 / (12 * 50 * 50)), abs=0.03)


def test_three_canaries_are_called_powerless_and_eight_are_not():
    few, many = judged("x", [0.45, 0.55, 0.5]), judged("x", [0.45, 0.55, 0.5] * 3)
    assert few.powerless
    assert not many.powerless
    spread = float(np.std(many.values, ddof=1))
    leaking = np.random.default_rng(0).normal(many.detectable, spread, (20_000, 9))
    # 3.3554: Student's t of 8 degrees of freedom, one-sided 99.5 %
    low = leaking.mean(axis=1) - 3.3554 * leaking.std(axis=1, ddof=1) / 3
    assert (low > 0.5).mean() == pytest.approx(0.8, abs=0.015)
    assert judged("x", [0.5, 0.501, 0.499]).powerless, "three runs do not tell their spread"
    x = features(0, n=60, p=4)
    s = study(x, classes(x, 1.0, 0))
    settings = ModelSettings(kind="subtype", folds=3, inner_folds=2, repeats=1, canary=3)
    told = _canary(analyse(s, settings))
    assert "Powerless" in " ".join(told.lines)
    assert {row[-1] for row in told.rows} == {"too few runs to tell"}
    assert told.header[4] == "would find"


@pytest.mark.parametrize("sings", [False, True])
def test_as_many_steps_are_announced_as_will_be_told_of(sings, monkeypatch):
    x = features(0, n=60, p=4)
    s = replace(study(x, classes(x, 1.0, 0)), outer=3)
    settings = ModelSettings(kind="subtype", folds=3, inner_folds=2, repeats=1, canary=0)
    canary = judged("x", [0.9, 0.91, 0.92] if sings else [0.5, 0.6, 0.4])
    name = "pancseg.modelling.analysis.analyse.run_canaries"
    monkeypatch.setattr(name, lambda *_: [canary])
    told = []
    analyse(s, settings, tell=told.append, leaked=lambda: told.append("leak"))
    assert ("leak" in told) == sings
    assert len(told) - sings == len(steps_of(settings, leaks=sings))
    assert told.index("repeat 1, fold 1") == int(sings)  # it is told before the long part


@pytest.mark.parametrize("p", [6, 120])
def test_ridge_of_many_columns_is_the_ridge_of_its_definition(p):
    random = np.random.default_rng(0)
    x = random.normal(size=(80, p))
    y = (random.logistic(size=80) < x[:, 0]).astype(int)
    found = LogisticRidge(0.5).fit(x, y)
    expected = LogisticRegression(C=0.5 / p, tol=1e-10, max_iter=10_000).fit(x - x.mean(axis=0), y)
    assert found.coef_ == pytest.approx(expected.coef_[0], abs=1e-5)
    assert found.predict_proba(x)[:, 1] == pytest.approx(
        expected.predict_proba(x - x.mean(axis=0))[:, 1], abs=1e-5
    )
    cox = times(x, 1.0, 0)
    ridge = CoxRidge(0.5).fit(x, cox)
    direct = CoxElasticNet(p / (0.5 * 80), 0.0).fit(x, cox)
    assert ridge.coef_ == pytest.approx(direct.coef_, abs=1e-6)
    assert ridge.predict(x) == pytest.approx(direct.predict(x), abs=1e-6)


@pytest.mark.parametrize("l1", [0.0, 0.02])
def test_the_logistic_net_is_scikit_learns(l1):
    random = np.random.default_rng(1)
    x = random.normal(size=(120, 5))
    y = (random.logistic(size=120) < x[:, 0] - 1).astype(int)
    l2 = 0.03
    coefficients, intercept = newton_logistic(x, y, l1, l2)
    known = LogisticRegression(
        C=1 / (120 * (l1 + l2)), l1_ratio=l1 / (l1 + l2), solver="saga", max_iter=100_000, tol=1e-9
    ).fit(x, y)
    assert coefficients == pytest.approx(known.coef_[0], abs=1e-4)
    assert intercept == pytest.approx(known.intercept_[0], abs=1e-4)
