"""Both sides of a comparison are fitted by the same algorithm, and clinical variables stay."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from pancseg.modelling import survival
from pancseg.modelling.analysis.analyse import analyse
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.beside import SCORE
from pancseg.modelling.inputs.features_table import TableOptions
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.report.report import sections
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, VOLUME
from pancseg.modelling.study import make_study as planned
from pancseg.modelling.unnamed import unnamed_columns


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small models on many threads wait for one another."""
    with threadpool_limits(1):
        yield


def cohort(x, *, clinical=None, volume=None, outcomes=None):
    index = pd.Index([f"P{i}" for i in range(len(x))])
    frames = [pd.DataFrame(table or {}, index=index) for table in (clinical, volume, outcomes)]
    columns = [f"f{j}" for j in range(x.shape[1])]
    return JoinedTable(pd.DataFrame(x, index, columns), *frames, np.asarray(index), None)


def analysed(joined, y, model="elastic-net", canary=0):
    settings = ModelSettings(
        kind="subtype", model=model, folds=3, inner_folds=2, repeats=1, resamples=300, canary=canary
    )
    plan = planned(joined, Endpoint("subtype", y, ("y",)), settings)
    specs = [spec for spec in plan.specs if not spec.name.startswith("radiomics, ")]
    return analyse(replace(plan, specs=specs), settings)


def u_shaped(random, values):
    middle, scale = np.median(values), np.std(values)
    return (
        random.logistic(size=len(values)) < 4 * (np.abs(values - middle) / scale / 0.86 - 1)
    ).astype(int)


@pytest.mark.parametrize("model", ["random-forest", "elastic-net"])
def test_noise_does_not_add_to_a_clinical_variable_of_u_shape(model):
    """The forest's clinical model used to be linear, so that noise beat it by 0.33."""
    random = np.random.default_rng(14)
    x, age = random.normal(size=(160, 30)), random.uniform(30, 90, 160)
    found = analysed(cohort(x, clinical={"age": age}), u_shaped(random, age), model)
    said = " ".join(found.verdict)
    assert "Radiomics is not shown to add to the clinical variables" in said
    assert "Radiomics adds" not in said
    assert "cannot be excluded" in said
    if model == "random-forest":
        assert found.measures[CLINICAL]["AUC"].value > 0.75
        difference = found.comparisons[BOTH, CLINICAL].discrimination
        assert abs(difference.value) < 0.06


def test_a_volume_of_u_shape_explains_what_radiomics_finds():
    random = np.random.default_rng(3)
    volume = random.normal(size=160)
    x = np.abs(volume)[:, None] + random.normal(size=(160, 8))
    joined = cohort(x, volume={"volume": volume})
    found = analysed(joined, u_shaped(random, volume), "random-forest")
    assert found.measures[VOLUME]["AUC"].low > 0.6
    assert found.measures[RADIOMICS]["AUC"].low > 0.5
    assert "**Not shown to be more than volume" in " ".join(found.verdict)


def test_clinical_variables_are_never_left_out_and_what_radiomics_adds_is_found():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 40))
    clinical = {"age": random.normal(size=200), "useless": random.normal(size=200)}
    y = (random.logistic(size=200) < 1.2 * x[:, 0] + 0.7 * clinical["age"]).astype(int)
    joined = cohort(x, clinical=clinical)
    found = analysed(joined, y)
    assert "Radiomics adds to the clinical variables (" in " ".join(found.verdict)
    more = found.comparisons[BOTH, CLINICAL]
    assert more.discrimination.low > 0
    assert more.brier.value < 0
    assert more.net_benefit.value > 0
    assert more.added_p < 0.001
    for weights in found.validation.models[BOTH].weights:
        assert set(weights) == {"age", "useless", SCORE}
        assert all(weights.values())
    beside = found.final[BOTH].beside
    assert beside["age"] == pytest.approx(0.7, abs=0.4)
    assert 0.3 < beside[SCORE] < 2
    parts = {part.title: part for part in sections(found, joined, ENDPOINT(y), [])}
    shown = [row[0] for row in parts["Weights of clinical + radiomics"].rows]
    assert shown == ["age", "useless", SCORE]
    assert parts["Settings chosen in the inner folds"].rows
    compared = parts["What radiomics adds"]
    assert compared.header[:3] == ["models", "AUC", "Brier"]
    assert compared.header[3].startswith("net benefit (threshold ")
    assert compared.header[4] == "likelihood-ratio p"


def ENDPOINT(y):  # noqa: N802  a short name for what every report needs
    return Endpoint("subtype", y, ("y",), ("no", "yes"))


def test_a_score_that_is_opposed_to_the_outcome_gets_no_weight():
    """Out of fold a useless score points the wrong way; it must not be used that way round."""
    from pancseg.modelling.estimators.cox import CoxFew
    from pancseg.modelling.estimators.logistic import LogisticFew
    from pancseg.modelling.estimators.survival_array import survival_outcome

    random = np.random.default_rng(1)
    x = random.normal(size=(150, 2))
    y = (random.logistic(size=150) < x[:, 0] - x[:, 1]).astype(int)
    free, rising = LogisticFew().fit(x, y), LogisticFew(rising=True).fit(x, y)
    assert free.coef_[1] < -0.5
    assert rising.coef_[1] == 0
    assert rising.coef_[0] == pytest.approx(LogisticFew().fit(x[:, :1], y).coef_[0], abs=1e-6)
    times = survival_outcome(np.ones(150, bool), random.exponential(np.exp(x[:, 1] - x[:, 0])))
    assert CoxFew().fit(x, times).coef_[1] < -0.5
    assert CoxFew(rising=True).fit(x, times).coef_[1] == 0


def test_a_site_that_goes_with_the_outcome_and_is_not_named_is_named():
    random = np.random.default_rng(7)
    y = random.integers(0, 2, 150)
    site = np.where(random.random(150) < np.where(y == 1, 0.85, 0.15), "A", "B")
    x = random.normal(size=(150, 12)) + (site == "A")[:, None] * random.normal(0, 0.8, 12)
    ages = random.normal(65, 9, 150).round().astype(int).astype(str)
    text = {"y": y.astype(str), "site": site, "age": ages, "sex": random.choice(["m", "f"], 150)}
    joined = cohort(x, outcomes=text)
    (told,) = unnamed_columns(joined, ENDPOINT(y), TableOptions())
    assert "'site' of the clinical file (2 values) goes with the outcome" in told
    assert "and was given to no model" in told  # also where `leave_out` or `subgroup` names it
    assert unnamed_columns(joined, ENDPOINT(y), TableOptions(batch="site")) == []
    assert unnamed_columns(joined, ENDPOINT(y), TableOptions(clinical=("site",))) == []
    settings = ModelSettings(kind="subtype", folds=3, inner_folds=2, repeats=1, canary=0)
    plan = planned(joined, ENDPOINT(y), settings)
    plan = replace(plan, specs=plan.specs[:1])
    assert analyse(plan, settings, against=(told,)).verdict[-1] == told


def test_a_site_that_goes_with_survival_is_named_by_the_log_rank_test():
    from lifelines.statistics import multivariate_logrank_test

    from pancseg.modelling.estimators.survival_array import survival_outcome
    from pancseg.modelling.unnamed import _log_rank

    random = np.random.default_rng(2)
    code = random.integers(0, 3, 120)
    death = random.exponential(np.where(code == 2, 1.0, 2.0))
    y = survival_outcome(random.random(120) < 0.7, death)
    expected = multivariate_logrank_test(y["time"], code, y["event"]).p_value
    assert _log_rank(code, y) == pytest.approx(expected, rel=1e-6)
    text = {"site": np.array(["A", "B", "C"])[code]}
    joined = cohort(random.normal(size=(120, 3)), outcomes=text)
    told = unnamed_columns(joined, Endpoint("survival", y, ("t", "e")), TableOptions())
    assert bool(told) == (expected < 0.01)


def test_times_in_whole_years_end_in_sentences_with_a_direction():
    """Ties, zeros and a censored tail, with a signal in one feature."""
    from pancseg.modelling.estimators.survival_array import survival_outcome

    random = np.random.default_rng(11)
    x = random.normal(size=(120, 10))
    death, lost = random.exponential(3 * np.exp(-1.2 * x[:, 0])), random.uniform(0, 6, 120)
    event, time = death <= lost, np.floor(np.minimum(death, lost))
    time[:12], event[:12] = 9, False
    y = survival_outcome(event, time)
    joined, endpoint = cohort(x), Endpoint("survival", y, ("years", "dead"))
    settings = ModelSettings(
        kind="survival", folds=3, inner_folds=2, repeats=2, resamples=300, canary=0
    )
    plan = planned(joined, endpoint, settings)
    specs = [spec for spec in plan.specs if not spec.name.startswith("radiomics, ")]
    found = analyse(replace(plan, specs=specs), settings)
    assert "Radiomics predicts better than chance (Harrell's C" in found.verdict[0]
    assert "A single feature, chosen in the fold, reaches" in found.verdict[1]
    assert found.groups.ratio.low > 1
    parts = {part.title: part for part in sections(found, joined, endpoint, [])}
    groups = parts["Risk groups"]
    assert "the group called high risk has the event earlier" in groups.lines[0]
    assert "p =" not in " ".join(groups.lines)
    assert [row[0] for row in groups.rows] == ["high", "low"]
    assert groups.header == ["group", "patients", "events", "median time to the event (time units)"]
    calibrated = found.calibration[RADIOMICS]
    assert set(calibrated.curves) == set(survival.horizons(y))
    assert set(calibrated.ratios) == set(survival.horizons(y))
    assert all(0.5 < ratio.value < 2 for ratio in calibrated.ratios.values())


def test_a_table_in_whole_years_is_written_and_read_again(tmp_path):
    """The table ``ties``: a horizon of 0 ended the command after all fits, and nothing was kept."""
    from pancseg import fit_model, load_model
    from pancseg.modelling.estimators.survival_array import survival_outcome
    from pancseg.modelling.survival import horizons

    random = np.random.default_rng(11)
    x = random.normal(size=(120, 3))
    death, last = random.exponential(3 * np.exp(-x[:, 0])), random.uniform(0, 6, 120)
    years, dead = np.floor(np.minimum(death, last)), death <= last
    assert np.quantile(years[dead], 0.25) == 0
    ids = pd.Index([f"P{i:03d}" for i in range(120)], name="patient_id")
    pd.DataFrame(x, ids, list("abc")).to_csv(tmp_path / "f.csv")
    pd.DataFrame({"years": years, "dead": dead.astype(int)}, ids).to_csv(tmp_path / "c.csv")
    quick = {"folds": 3, "inner_folds": 2, "repeats": 1, "canary": 0, "workers": 1}
    out = tmp_path / "out"
    fit_model(tmp_path / "f.csv", tmp_path / "c.csv", out, time="years", event="dead", **quick)
    assert min(load_model(out).facts["horizons"]) > 0
    assert horizons(survival_outcome(np.array([True, False]), np.array([0.0, 2.0]))) == [2.0]


@pytest.mark.parametrize(
    ("years", "chosen", "middle"),
    [
        ([0, 0, 0, 1, 1, 2, 3, 4], (), 1.0),  # the lower quartile is 0: it was the upper one
        ([1, 1, 1, 1, 1, 3, 3, 4], (), 1.0),  # the lower quartile is the median
        ([1, 2, 2, 2, 2, 2, 2, 4], (), 2.0),
        ([0, 0, 0, 0, 0, 0, 3, 5], (), 0.75),  # the median is 0
        ([0, 0, 0, 1, 1, 2, 3, 4], (1, 2), 2.0),
    ],
)
def test_the_middle_horizon_is_the_median_event_time_where_none_were_chosen(years, chosen, middle):
    from pancseg.modelling.estimators.survival_array import survival_outcome
    from pancseg.modelling.survival import middle_horizon

    y = survival_outcome(np.ones(len(years), bool), np.array(years, float))
    assert middle_horizon(y, chosen) == middle
