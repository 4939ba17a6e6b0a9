"""Models fitted to several completed tables: their average, what is saved of it, and no leak."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from imputed_study import NAMES, study
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from small_studies import classes, features, times

from pancseg.modelling import subtype
from pancseg.modelling.algorithm import selected
from pancseg.modelling.cross_validation.fit_candidate import fit_candidate
from pancseg.modelling.cross_validation.fitted_models import fit_specs
from pancseg.modelling.cross_validation.plan import FeatureBlock, ModelSpec, ValidationPlan
from pancseg.modelling.estimators.averaged import fit_averaged
from pancseg.modelling.estimators.cox import CoxFew, CoxNet, CoxRidge
from pancseg.modelling.estimators.logistic import LogisticElasticNet, LogisticFew, LogisticRidge
from pancseg.modelling.estimators.preparation import plain_preparation, preparation
from pancseg.modelling.estimators.survival_forest import MartingaleForest
from pancseg.modelling.plain.from_fitted import plain_model


def tables(count=3, n=90, p=4):
    x = features(0, n, p)
    x[:, 1] += x[:, 0]
    random = np.random.default_rng(9)
    return [x + 0.5 * random.normal(size=x.shape) * [1, 0, 0, 0] for _ in range(count)]


def fit(candidate, given, y):
    return fit_averaged(candidate, given, y, [{} for _ in given])


def test_log_odds_are_averaged_as_by_hand_with_scikit_learn():
    given = tables()
    y = classes(given[0], 1.0, 0)
    found = fit(LogisticFew(), given, y)
    fits = [LogisticRegression(C=10, tol=1e-10, max_iter=1000).fit(x, y) for x in given]
    np.testing.assert_allclose(found.coef_, np.mean([f.coef_[0] for f in fits], axis=0), rtol=1e-5)
    x = features(5, 30, 4)
    log_odds = np.mean([f.decision_function(x) for f in fits], axis=0)
    np.testing.assert_allclose(found.predict_proba(x)[:, 1], expit(log_odds), rtol=1e-5)


@pytest.mark.parametrize("model", [LogisticFew(), LogisticRidge(0.1), LogisticElasticNet(0.1)])
def test_the_average_of_logistic_fits_is_one_logistic_model(model):
    given = tables()
    y = classes(given[0], 1.0, 0)
    fits = [clone(model).fit(x, y) for x in given]
    x = features(5, 30, 4)
    expected = np.mean([each.decision_function(x) for each in fits], axis=0)
    np.testing.assert_allclose(fit(model, given, y).decision_function(x), expected, rtol=1e-12)


@pytest.mark.parametrize("model", [CoxFew(), CoxRidge(0.1), CoxNet(0.1)])
def test_the_average_of_cox_fits_has_the_mean_log_cumulative_hazard_of_every_patient(model):
    given = tables()
    y = times(given[0], 1.0, 0)
    fits = [clone(model).fit(x, y) for x in given]
    found, x = fit(model, given, y), features(5, 30, 4)
    at = np.quantile(y["time"], [0.2, 0.5, 0.8])
    expected = np.mean([np.log(-np.log(each.predict_survival(x, at))) for each in fits], axis=0)
    np.testing.assert_allclose(np.log(-np.log(found.predict_survival(x, at))), expected, rtol=1e-10)
    own = np.mean([each.predict(x) for each in fits], axis=0)
    assert np.ptp(found.predict(x) - own) < 1e-12


def test_probabilities_of_forests_are_averaged():
    given = tables()
    y = classes(given[0], 1.0, 0)
    forest = RandomForestClassifier(20, min_samples_leaf=5, random_state=3)
    fits = [clone(forest).set_params(random_state=3 + k).fit(x, y) for k, x in enumerate(given)]
    x = features(5, 30, 4)
    expected = np.mean([each.predict_proba(x) for each in fits], axis=0)
    np.testing.assert_allclose(fit(forest, given, y).predict_proba(x), expected, rtol=1e-12)


def test_log_odds_of_boosted_trees_are_averaged():
    given = tables()
    y = classes(given[0], 1.0, 0)
    trees = HistGradientBoostingClassifier(max_iter=10, max_depth=2, random_state=0)
    x = features(5, 30, 4)
    expected = np.mean([logit(clone(trees).fit(t, y).predict_proba(x)) for t in given], axis=0)
    np.testing.assert_allclose(logit(fit(trees, given, y).predict_proba(x)), expected, rtol=1e-10)


def test_one_cox_model_turns_the_mean_of_survival_forests_into_hazards():
    given = tables()
    y = times(given[0], 2.0, 0)
    found = fit(MartingaleForest(40, 6, seed=4), given, y)
    fits = [MartingaleForest(40, 6, seed=4 + k).fit(x, y) for k, x in enumerate(given)]
    x = features(5, 30, 4)
    mean = np.mean([each.forest_.predict(x) for each in fits], axis=0)
    np.testing.assert_allclose(found.forest_.predict(x), mean, rtol=1e-12)
    assert np.corrcoef(found.predict(x), mean)[0, 1] == pytest.approx(1.0)


def test_equal_tables_give_the_model_of_one():
    x = tables()[0]
    for y, model in ((classes(x, 1.0, 0), LogisticRidge(0.1)), (times(x, 1.0, 0), CoxNet(0.1))):
        one, three = clone(model).fit(x, y), fit(model, [x, x, x], y)
        np.testing.assert_allclose(three.coef_, one.coef_, rtol=1e-12)


KINDS = [
    ("subtype", "elastic-net"), ("subtype", "random-forest"), ("subtype", "gradient-boosting"),
    ("survival", "elastic-net"), ("survival", "random-forest"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "model"), KINDS)
@pytest.mark.parametrize("batch", [False, True])
def test_the_plain_model_predicts_what_the_fitted_one_does(kind, model, batch):
    plan = study(kind, model, batch=batch)
    fitted = fit_specs(plan, np.arange(60), 0)
    names = {name: block.names for name, block in plan.blocks.items()}
    block = plan.blocks["radiomics"]
    frames = {
        "radiomics": pd.DataFrame(block.x[:, int(batch) :], columns=list(NAMES)),
        "clinical only": pd.DataFrame(plan.blocks["clinical only"].x, columns=list("abc")),
    }
    codes = block.x[:, 0].astype(np.int64) if batch else None
    for name, each in fitted.items():
        plain = plain_model(each, names)
        assert plain.imputes == (name != "chance")
        x = plain.prepared(frames, codes, 90)
        seen = each.prepared({name: b.x for name, b in plan.blocks.items()})
        expected = plan.task.predict(each.model, seen)
        np.testing.assert_allclose(plain.predictor.score(x), expected, rtol=1e-10)
        if kind == "survival":
            curves = plan.task.curves(each.model, seen)
            at = np.array([*plan.task.times, *plan.task.horizons])
            np.testing.assert_allclose(plain.predictor.event_free(x, at), curves, rtol=1e-10)


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_rows_that_are_tested_change_nothing_that_training_rows_give(kind):
    plan = study(kind, "elastic-net")
    train, test = np.arange(60), np.arange(60, 90)
    other = {}
    for name, block in plan.blocks.items():
        x = block.x.copy()
        x[test] = np.random.default_rng(7).normal(5, 9, (30, x.shape[1]))
        other[name] = replace(block, x=x)
    y = plan.y.copy()
    y[test] = y[test][::-1]
    changed = replace(plan, blocks=other, y=y)
    one, two = (fit_specs(each, train, 0) for each in (plan, changed))
    values = {name: block.x[train] for name, block in plan.blocks.items()}
    for name in one:
        assert one[name].threshold == two[name].threshold
        np.testing.assert_array_equal(one[name].weights, two[name].weights)
        np.testing.assert_array_equal(
            plan.task.predict(one[name].model, one[name].prepared(values)),
            plan.task.predict(two[name].model, two[name].prepared(values)),
        )


def test_a_tested_row_is_predicted_alike_whoever_is_tested_with_it():
    plan = study("subtype", "elastic-net")
    fitted = fit_specs(plan, np.arange(60), 0)["both"]
    together = fitted.prepared({name: b.x[60:] for name, b in plan.blocks.items()})
    for row in (60, 75):
        alone = fitted.prepared({name: b.x[[row]] for name, b in plan.blocks.items()})
        np.testing.assert_allclose(alone[0], together[row - 60], rtol=1e-12)


def test_without_gaps_the_models_are_those_of_medians():
    plan = study("subtype", "elastic-net")
    filled = {name: replace(block, x=np.nan_to_num(block.x)) for name, block in plan.blocks.items()}
    medians = {
        "radiomics": preparation(None, False),
        "clinical only": plain_preparation(),
    }
    other = {name: replace(b, preparation=medians[name]) for name, b in filled.items()}
    one = fit_specs(replace(plan, blocks=filled), np.arange(90), 0)
    two = fit_specs(replace(plan, blocks=other), np.arange(90), 0)
    for name in one:
        np.testing.assert_array_equal(one[name].weights, two[name].weights)
        assert one[name].threshold == two[name].threshold


def test_a_true_feature_with_gaps_is_predicted_better_with_a_correlated_one_at_hand():
    """In the mean of ten tables the log loss in 500 other patients falls."""
    losses = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        x = random.normal(size=(600, 5))
        x[:, 1] = 0.8 * x[:, 0] + 0.6 * x[:, 1]
        y = classes(x, 2.0, seed)
        x[random.random(600) < 0.4, 0] = np.nan
        found = []
        for count in (1, 5):
            block = FeatureBlock(x, NAMES[:5], preparation(None, False, count, seed))
            spec = ModelSpec("radiomics", ("radiomics",), (LogisticFew(),))
            plan = ValidationPlan(
                y, y, np.arange(600), {"radiomics": block}, [spec], subtype.SubtypeTask()
            )
            fitted = fit_specs(plan, np.arange(100), seed)["radiomics"]
            score = plan.task.predict(fitted.model, fitted.prepared({"radiomics": x[100:]}))
            found.append(plan.task.loss(y[100:], score, np.zeros(500)))
        losses.append(found)
    medians, imputed = np.mean(losses, axis=0)
    assert imputed < medians - 0.005


class Remembering(LogisticFew):
    """A model as another package could add it, which keeps what it was given to share."""

    seen: ClassVar[list] = []

    def fit(self, x, y, shared=None):
        self.seen.append(shared)
        if shared is not None:
            shared["columns"] = x.shape[1]
        return super().fit(x, y)


def strength(x, y):
    return np.abs(x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0))


def test_models_share_by_what_their_fit_takes_and_never_across_selections():
    """Before: by an attribute `spread`, and with models of other selections of columns."""
    given = [features(seed, 90, 6) for seed in range(2)]
    y, shared = classes(given[0], 1.0, 0), [{}, {}]
    Remembering.seen.clear()
    for k in (2, 4):
        fit_averaged(selected(strength, k, Remembering()), given, y, shared)
    assert [each["columns"] for each in Remembering.seen] == [2, 2, 4, 4]
    assert len({id(each) for each in Remembering.seen}) == 4
    fit_averaged(Remembering(), given, y, shared)
    assert [each["columns"] for each in shared] == [6, 6]
    Remembering.seen.clear()
    for k in (2, 4):
        fit_candidate(selected(strength, k, Remembering()), given[:1], y, shared[:1])
    assert not any(each is shared[0] for each in Remembering.seen)
