"""Boosting is weighed by shuffling columns among patients held out, and by nobody else."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from sklearn.inspection import permutation_importance
from small_studies import classes, features, study
from threadpoolctl import threadpool_limits

from pancseg.modelling.analysis.results import AnalysisResults
from pancseg.modelling.cross_validation.fitted_models import fit_specs
from pancseg.modelling.cross_validation.folds import outer_seed
from pancseg.modelling.cross_validation.importance import SHUFFLES
from pancseg.modelling.cross_validation.nested_cv import validate
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.features_section import PERMUTED, features_section
from pancseg.modelling.report.figures import feature_table, pictures
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import make_study
from pancseg.modelling.validation.canary import Canary, run_canaries

LEAK = (Canary("noise features", (0.8, 0.8), 0.8, 0.8),)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small models on many threads wait for one another."""
    with threadpool_limits(1):
        yield


def boosted(x, y, shuffles=SHUFFLES):
    return study(x, y, "gradient-boosting", shuffles=shuffles)


def weights_of(s, **options):
    return validate(s, **options).models["radiomics"].weights


@pytest.fixture(scope="module")
def planted():
    """70 features, of which f5 carries the outcome: more than a fold's selection keeps."""
    x = features(0, n=120, p=70)
    x[:, [0, 5]] = x[:, [5, 0]]
    y = classes(x[:, [5]], 2.0, 0)
    index = pd.Index([f"P{i}" for i in range(120)])
    nothing = pd.DataFrame(index=index)
    table = pd.DataFrame(x, index, [f"f{j}" for j in range(70)])
    joined = JoinedTable(table, nothing, nothing, nothing, np.asarray(index), None)
    found = {}
    for model in ("gradient-boosting", "random-forest", "elastic-net"):
        settings = ModelSettings(kind="subtype", model=model, outer=3, inner=2, repeats=1)
        s = make_study(joined, Endpoint("subtype", y, ("y",)), settings)
        s = replace(s, specs=s.specs[:1])
        final = fit_specs(s, np.arange(120), 0)
        found[model] = AnalysisResults(s, settings, validate(s), [], final)
    return found


@pytest.mark.parametrize("model", ["gradient-boosting", "random-forest", "elastic-net"])
def test_a_planted_feature_is_first(planted, model):
    table = feature_table(planted[model])
    first, second = table.iloc[0], table.iloc[1]
    assert first["feature"] == "f5"
    assert first["share_of_folds"] == 1
    assert abs(first["mean_weight"]) > 2 * abs(second["mean_weight"])
    assert 0 < first["std_weight"] < abs(first["mean_weight"])


def test_only_columns_that_the_fold_kept_are_weighed(planted):
    models = planted["gradient-boosting"].validation.models["radiomics"].weights
    assert len(models) == 3
    assert {len(weights) for weights in models} == {50}


def test_weights_are_those_of_patients_held_out():
    x = features(1, n=90, p=8)
    y = classes(x, 2.0, 1)
    s = boosted(x, y)
    found = validate(s)
    for fold, weights in enumerate(found.models["radiomics"].weights):
        test, seed = found.folds[0] == fold, outer_seed(s, 0, fold)
        fitted = fit_specs(s, np.flatnonzero(~test), seed)["radiomics"]

        def weighed(rows, fitted=fitted, seed=seed):
            seen = fitted.model[:-1].transform(fitted.prepared({"radiomics": x[rows]}))
            return permutation_importance(
                *(fitted.model[-1], seen, y[rows]),
                scoring="neg_log_loss",
                n_repeats=SHUFFLES,
                random_state=seed,
            ).importances_mean

        mine = np.array(list(weights.values()))
        assert mine == pytest.approx(weighed(test), abs=1e-9)
        assert np.abs(mine - weighed(~test)).max() > 0.01


def test_noise_weighs_nothing_on_patients_held_out():
    """On its own training rows the same model finds every feature of noise important."""
    x = features(2, n=200, p=10)
    y = classes(x, 0.0, 2)
    s = boosted(x, y)
    held_out = np.mean([list(weights.values()) for weights in weights_of(s)])
    fitted = fit_specs(s, np.arange(200), 0)["radiomics"].model
    scaled = (x - x.mean(0)) / x.std(0)
    training = permutation_importance(fitted, scaled, y, scoring="neg_log_loss", random_state=0)
    assert training.importances_mean.mean() > 0.02
    assert held_out < 0.01


def test_the_same_seed_gives_the_same_weights_whatever_the_workers():
    x = features(3, n=60, p=6)
    s = boosted(x, classes(x, 1.0, 3))
    first = weights_of(s, workers=1)
    assert first == weights_of(s, workers=2)
    assert first != weights_of(replace(s, seed=1))


def test_canaries_do_not_shuffle(monkeypatch):
    x = features(4, n=60, p=6)
    s = boosted(x, classes(x, 1.0, 4))
    name = "pancseg.modelling.cross_validation.nested_cv.permuted_weights"
    monkeypatch.setattr(name, lambda *words: pytest.fail("shuffled"))
    assert len(run_canaries(s, "radiomics", 2)) == 2
    with pytest.raises(pytest.fail.Exception, match="shuffled"):
        validate(s)


def test_report_and_picture_say_what_the_weight_is(planted):
    told = features_section(planted["gradient-boosting"])
    assert PERMUTED in told.lines
    assert told.rows[0][:2] == ["f5", "100 %"]
    assert PERMUTED not in features_section(planted["random-forest"]).lines
    drawn = pictures(replace(planted["gradient-boosting"], canaries=LEAK))["features.png"]
    assert imread(io.BytesIO(drawn)).std() > 0


def test_a_leak_hides_weights_that_tell_of_performance(planted):
    table = feature_table(replace(planted["gradient-boosting"], canaries=LEAK))
    assert table["mean_weight"].isna().all()
    assert (table["share_of_folds"] > 0).all()
    assert features_section(replace(planted["gradient-boosting"], canaries=LEAK)).rows[0][2:] == [
        "–",
        "–",
    ]
    kept = feature_table(replace(planted["random-forest"], canaries=LEAK))
    assert kept["mean_weight"].notna().all()
