"""Every model finds a planted signal, finds nothing in noise, and nothing leaks into the folds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lifelines import NelsonAalenFitter
from lifelines.utils import concordance_index
from small_studies import classes, features, study, times

from pancseg.modelling import subtype, survival
from pancseg.modelling.analysis.calibration import calibration
from pancseg.modelling.analysis.performance import Judge
from pancseg.modelling.cross_validation.fitted_models import fit_specs
from pancseg.modelling.cross_validation.folds import make_folds
from pancseg.modelling.cross_validation.nested_cv import validate
from pancseg.modelling.cross_validation.out_of_fold import OutOfFold, ValidationResult
from pancseg.modelling.cross_validation.plan import FeatureBlock
from pancseg.modelling.data_warnings import _separation
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.combat import ComBat
from pancseg.modelling.estimators.cox_solver import score_test
from pancseg.modelling.estimators.preparation import Cleaned, Strongest, Varied
from pancseg.modelling.estimators.redundancy import Unredundant
from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.estimators.survival_forest import MartingaleForest
from pancseg.modelling.inputs.outcome_coding import event_codes
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import RADIOMICS, VOLUME
from pancseg.modelling.validation.canary import _noise, discrimination, judged, run_canaries
from pancseg.modelling.validation.comparison import Comparison
from pancseg.modelling.validation.measures import Estimate
from pancseg.modelling.verdict import verdict

KINDS = [*((classes, name) for name in subtype.MODELS), *((times, n) for n in survival.MODELS)]


def found(s):
    return discrimination(s, validate(s), "radiomics")


def test_calibration_is_of_all_repeats_and_an_empty_one_hardly_moves_it():
    random = np.random.default_rng(0)
    logit = random.normal(size=400)
    y = (random.random(400) < 1 / (1 + np.exp(-logit))).astype(int)
    s = study(logit[:, None], y, repeats=4)
    folds = np.tile(np.arange(400) % 5, (4, 1))

    def slope(logits):
        score = 1 / (1 + np.exp(-np.array(logits)))
        model = OutOfFold(score, np.zeros_like(score), None, ({},), ())
        settings = ModelSettings(kind="subtype", repeats=4, resamples=100)
        judge = Judge(s, settings, ValidationResult(folds, {"m": model}))
        return calibration(judge, "m", Estimate(0.7, 0.6, 0.8)).slope.value

    noise = random.normal(size=(4, 400))
    noisy = slope(logit + noise)  # as single models are: the mean over repeats would hide it
    assert slope([logit] * 4) == pytest.approx(1, abs=0.15)
    assert noisy == pytest.approx(slope([logit] * 4) / 2, abs=0.1)
    empty = [*([logit] * 3), np.array([-0.3, -0.2, -0.25, -0.3, -0.28])[folds[0]]]
    assert slope(empty) == pytest.approx(slope([logit] * 4), abs=0.1)


@pytest.mark.parametrize(("outcome", "model"), KINDS)
def test_a_planted_signal_is_found(outcome, model):
    x = features(0, n=150, p=30)
    assert found(study(x, outcome(x, 2.5, 0), model)) > 0.75


def test_a_strong_signal_is_judged_as_its_oracle_is():
    x = features(1, n=300, p=60)
    y = times(x, 1.5, 1)
    oracle = concordance_index(y["time"], -x[:, 0], y["event"])
    assert found(study(x, y)) == pytest.approx(oracle, abs=0.02)


def test_noise_gives_chance_and_selection_outside_the_folds_does_not():
    """The leaky variant selects on all patients first: this is what is being avoided."""
    honest, leaky = [], []
    for seed in range(4):
        x = features(seed, n=80, p=300)
        y = times(x, 0.0, seed)
        honest.append(found(study(x, y)))
        selected = Strongest(score_test, 10).fit(x, y).transform(x)
        leaky.append(found(study(selected, y)))
    assert np.mean(honest) == pytest.approx(0.5, abs=0.1)
    assert np.mean(leaky) > np.mean(honest) + 0.05


def test_test_rows_never_change_what_is_fitted():
    x = features(2)
    y = classes(x, 1.0, 2)
    train = np.arange(70)
    s = study(x, y)
    first = fit_specs(s, train, 5)["radiomics"]
    other = x.copy()
    other[70:] = 1e6
    changed = FeatureBlock(other, s.blocks["radiomics"].names, s.blocks["radiomics"].preparation)
    y_other = y.copy()
    y_other[70:] = 1 - y_other[70:]
    second = fit_specs(replace(s, blocks={"radiomics": changed}, y=y_other), train, 5)
    again = second["radiomics"]
    assert first.columns == again.columns
    assert (first.weights == again.weights).all()
    assert first.threshold == again.threshold


def test_patients_are_never_parted():
    groups = np.repeat(np.arange(30), 3)
    strata = np.repeat(np.arange(30) % 2, 3)
    folds = make_folds(strata, groups, 5, 0)
    assert all(len(set(folds[groups == g])) == 1 for g in range(30))
    assert set(folds) == set(range(5))


def test_the_same_seed_gives_the_same_and_workers_do_not_matter():
    x = features(3, n=60, p=10)
    s = study(x, times(x, 1.0, 3))
    first, second = validate(s, workers=1), validate(s, workers=2)
    assert (first.models["radiomics"].score == second.models["radiomics"].score).all()
    other = validate(replace(s, seed=1))
    assert (first.folds != other.folds).any()


def test_the_canary_is_silent_on_a_sound_pipeline_and_sings_on_a_leak():
    x = features(4, n=60, p=20)
    canaries = run_canaries(study(x, classes(x, 2.0, 4)), "radiomics", 3)
    assert [canary.sings for canary in canaries] == [False, False]
    assert judged("x", [0.70, 0.72, 0.69, 0.73]).sings
    assert not judged("x", [0.45, 0.56, 0.52, 0.47]).sings
    assert not judged("x", [0.9]).sings


def test_a_site_effect_is_removed_inside_the_folds():
    """Scanner shifts every feature, and one hospital has more events: no biology."""
    random = np.random.default_rng(0)
    batch = np.arange(160) % 2
    y = (random.random(160) < np.where(batch == 1, 0.8, 0.2)).astype(int)
    x = features(5, n=160, p=20) + 1.5 * batch[:, None]
    assert found(study(x, y)) > 0.7
    assert found(study(x, y, batch=batch)) < 0.62


def test_separation_is_told_of_classes_and_of_events():
    x = pd.DataFrame(features(0, n=60, p=3), columns=list("abc"))
    y = classes(x.to_numpy(), 1.0, 0)
    assert _separation(x, Endpoint("subtype", y, ("s",))) == []
    assert (
        "1 column, d, separates the classes without error"
        in _separation(x.assign(d=y + 0.5 * np.sin(x["a"])), Endpoint("subtype", y, ("s",)))[0]
    )
    cox = times(x.to_numpy(), 1.0, 0)
    assert _separation(x, Endpoint("survival", cox, ("t", "e"))) == []
    told = _separation(x.assign(d=1 / cox["time"], e=1), Endpoint("survival", cox, ("t", "e")))
    assert "1 column, d, orders all events" in told[0]


def test_combat_refuses_batches_that_it_cannot_know():
    x = features(6, n=40, p=5)
    fitted = ComBat().fit(np.column_stack([np.arange(40) % 2, x]))
    with pytest.raises(ValueError, match="1 patients are of a scanner or site"):
        fitted.transform(np.column_stack([[7], x[:1]]))
    with pytest.raises(ValueError, match="has 3 patients in a training fold"):
        ComBat().fit(np.column_stack([np.arange(40) < 3, x]))


def test_steps_keep_what_they_should():
    random = np.random.default_rng(7)
    x = random.normal(size=(50, 5))
    x[:, 1] = 3.0
    x[:30, 2] = np.nan  # gaps drop no column by chance of the fold
    x[:, 3] = x[:, 0] + random.normal(size=50) * 0.01
    assert list(Varied().fit(x).kept_) == [0, 2, 3, 4]
    assert len(Unredundant().fit(x[:, [0, 3, 4]]).kept_) == 2
    assert list(Unredundant((0.9, 0.5, 0.1)).fit(x[:, [0, 3, 4]]).kept_) == [0, 2]
    assert list(Unredundant((0.5, 0.9, 0.1)).fit(x[:, [0, 3, 4]]).kept_) == [1, 2]
    assert list(Cleaned((0.5, 1.0, 1.0, 0.9, 0.1)).fit(x).kept_) == [2, 3, 4]


def test_numbers_that_mean_event_may_be_written_as_floats():
    cells = pd.Series(["2.0", "1.0", "2", "1", "NA"])
    assert event_codes(cells, "died", "2").fillna(-1).tolist() == [1, 0, 1, 0, -1]
    assert event_codes(pd.Series(["Dead", "alive"]), "died", "dead").tolist() == [1, 0]
    with pytest.raises(ValueError, match="no row has the value '3'"):
        event_codes(cells, "died", "3")


def test_what_volume_explains_is_said_where_there_is_something_to_explain():
    def said(own, beyond, brier=0.1):
        judged = {RADIOMICS: {"AUC": Estimate(0.6, own, 0.7)}}
        judged[VOLUME] = {"AUC": Estimate(0.65, 0.55, 0.75)}
        same, risks = Estimate(0.0, -0.1, 0.1), Estimate(-0.2, -0.3, brier)
        compared = {(RADIOMICS, VOLUME): Comparison(Estimate(0.0, beyond, 0.1), risks, same, 0.01)}
        return " ".join(verdict(judged, compared, "AUC"))

    assert "**Not shown to be more than volume**: volume alone reaches 0.650" in said(0.55, -0.1)
    assert "predicted risks are better" not in said(0.55, -0.1)
    assert "), though its predicted risks are better." in said(0.55, -0.1, -0.01)
    assert "More than volume" in said(0.55, 0.01)
    nothing = said(0.45, -0.1)
    assert "No evidence" in nothing
    assert "Volume alone predicts better" in nothing
    assert "Not shown to be more" not in nothing


def test_noise_misses_what_other_rows_miss():
    x = features(0)
    y = classes(x, 0.0, 0)
    x[y == 1, :5] = np.nan
    (noisy,) = _noise(study(x, y), 1)
    gaps = np.isnan(noisy.blocks["radiomics"].x)
    assert gaps.sum() == np.isnan(x).sum()
    assert 0.2 < gaps[y == 1, 0].mean() < 0.8


def test_a_forest_that_learnt_nothing_gives_the_same_curve_to_all():
    random = np.random.default_rng(3)
    found = None
    for seed in range(20):
        y = survival_outcome(random.random(60) < 0.7, random.exponential(size=60))
        forest = MartingaleForest(trees=30, seed=seed).fit(random.normal(size=(60, 3)), y)
        if not forest.feature_importances_.any():
            found = forest
            break
    assert found is not None
    times = np.quantile(y["time"], [0.2, 0.5, 0.8])
    hazard = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(y["time"], y["event"])
    expected = np.exp(-hazard.cumulative_hazard_at_times(times).to_numpy())
    curves = found.predict_survival(random.normal(size=(4, 3)), times)
    np.testing.assert_allclose(curves, np.tile(expected, (4, 1)))


def test_small_sites_are_spread_by_outcome_alone():
    strata = np.repeat(np.arange(8), 4)  # four sites with four of each class
    folds = make_folds(strata, np.arange(32), 5, seed=1)
    for fold in range(5):
        assert 2 <= (strata[folds == fold] % 2).sum() <= 5
