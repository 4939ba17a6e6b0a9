"""The verdict's sentences say what its numbers carry, for each algorithm."""

import math

import numpy as np
import pandas as pd
import pytest

from pancseg.modelling.data_warnings import events_per_column, warnings_of
from pancseg.modelling.doubts import doubts_of
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.validation.comparison import Comparison
from pancseg.modelling.validation.measures import Estimate
from pancseg.modelling.verdict import HowCompared, verdict

NONE = Estimate(0.0, -0.1, 0.1)
GOOD = {"AUC": Estimate(0.7, 0.6, 0.8)}


def said(judged, compared, **facts):
    judged = {name: {"AUC": found} for name, found in judged.items()}
    return " ".join(verdict({RADIOMICS: GOOD, **judged}, compared, "AUC", HowCompared(**facts)))


def better(brier=NONE):
    return Comparison(Estimate(0.26, 0.2, 0.3), brier, NONE, 0.0001)


def test_a_clinical_model_below_chance_counts_as_a_half_and_the_verdict_says_so():
    """The printed AUCs 0.7 and 0.434 differ by 0.266, but the difference is taken from 0.5."""
    clinical = Estimate(0.434, 0.37, 0.498)
    text = said({CLINICAL: clinical}, {(BOTH, CLINICAL): better()})
    assert "the clinical variables alone are not shown to be better than chance: AUC 0.434" in text
    assert "counted as 0.5 in the difference" in text
    text = said({CLINICAL: Estimate(0.6, 0.5, 0.7)}, {(BOTH, CLINICAL): better()})
    assert "the clinical variables alone reach 0.600" in text
    assert "counted as 0.5" not in text


def test_a_score_without_weight_excludes_no_gain():
    """The difference is 0 in those models by construction, and so is its interval."""
    clinical, none = (
        Estimate(0.98, 0.95, 1.0),
        Comparison(Estimate(0.0, -0.03, 0.002), NONE, NONE, 0.4),
    )
    text = said({CLINICAL: clinical}, {(BOTH, CLINICAL): none}, unweighted=(4, 6))
    assert "In 4 of 6 models of clinical + radiomics the score of radiomics has no weight" in text
    assert "No gain can be excluded. In 4" in text
    assert "A gain in AUC of up to" not in text
    text = said({CLINICAL: clinical}, {(BOTH, CLINICAL): none}, unweighted=(1, 25))
    assert "A gain in AUC of up to 0.002 cannot be excluded. In 1 of 25 models" in text
    assert "has no weight: this one predicts as the clinical variables alone" in text
    text = said({CLINICAL: clinical}, {(BOTH, CLINICAL): none}, unweighted=(0, 6))
    assert "A gain in AUC of up to 0.002 cannot be excluded." in text


@pytest.mark.parametrize("high", [-0.02, 0.02])
def test_an_interval_below_0_says_that_radiomics_ranks_worse(high):
    """All of −0.08 to −0.02 was called "not shown to rank patients better"."""
    less = Comparison(Estimate(-0.05, -0.08, high), NONE, NONE, 0.6)
    strong, weak = Estimate(0.75, 0.7, 0.8), Estimate(0.55, 0.45, 0.65)
    texts = {
        "**Less than volume**: volume alone reaches 0.750": said(
            {VOLUME: strong}, {(RADIOMICS, VOLUME): less}
        ),
        "radiomics ranks patients worse than volume (difference": said(
            {VOLUME: weak}, {(RADIOMICS, VOLUME): less}
        ),
        "more features rank patients worse (difference in AUC −0.050": said(
            {SINGLE: strong}, {(RADIOMICS, SINGLE): less}
        ),
        "With radiomics added, the clinical variables rank patients worse than alone (": said(
            {CLINICAL: strong}, {(BOTH, CLINICAL): less}
        ),
    }
    for sentence, text in texts.items():
        assert (sentence in text) == (high < 0)
        assert ("not shown to" in text.replace("not shown to be better than chance", "")) == (
            high > 0
        )


def test_one_separating_column_is_singular():
    y = np.arange(40) % 2
    x = np.random.default_rng(7).normal(size=(40, 3))
    x[:, 1] = y + 0.1 * x[:, 1]
    endpoint = Endpoint("subtype", y, ("y",), ("no", "yes"))
    warned = " ".join(warnings_of(cohort(x, volume=False), endpoint, ModelSettings(kind="subtype")))
    assert "Separation: 1 column, f1, separates the classes without error; odds ratios" in warned
    assert "Does it encode the outcome?" in warned


@pytest.mark.parametrize("high", [-0.002, 0.002])
def test_one_feature_against_many_is_judged_by_rank_and_risk(high):
    more = Comparison(Estimate(0.028, -0.002, 0.057), Estimate(-0.006, -0.011, high), NONE, 1e-7)
    text = said({SINGLE: Estimate(0.646, 0.6, 0.69)}, {(RADIOMICS, SINGLE): more})
    assert "more features are not shown to rank patients better (difference in AUC 0.028" in text
    assert "in the Brier score −0.006" in text
    assert "likelihood-ratio p < 0.001)" in text
    assert (", though their predicted risks are better." in text) == (high < 0)


def test_without_a_test_no_p_value_is_named():
    more = Comparison(Estimate(0.0, -0.1, 0.1), NONE, NONE, math.nan)
    text = said({SINGLE: Estimate(0.646, 0.6, 0.69)}, {(RADIOMICS, SINGLE): more})
    assert "likelihood" not in text


def test_volume_as_the_best_single_feature_is_said_once():
    judged = {name: Estimate(0.65, 0.55, 0.75) for name in (SINGLE, VOLUME)}
    compared = {(RADIOMICS, SINGLE): better(), (RADIOMICS, VOLUME): better()}
    text = said(judged, compared, single_is_volume=True)
    assert "The best single feature was the volume in every fold." in text
    assert "More than one feature" not in text
    assert "More than one feature" in said(judged, compared)


def test_only_forests_fit_volume_by_the_same_algorithm():
    judged, compared = {VOLUME: Estimate(0.65, 0.55, 0.75)}, {(RADIOMICS, VOLUME): better()}
    assert "same algorithm" not in said(judged, compared)
    assert "linear models, fitted in the same folds" in said(judged, compared)
    assert "fitted by the same algorithm" in said(judged, compared, linear=False)


def test_net_benefit_has_its_threshold():
    judged, compared = {VOLUME: Estimate(0.65, 0.55, 0.75)}, {(RADIOMICS, VOLUME): better()}
    text = said(judged, compared, benefit_at="threshold 36 %, by 1095 days")
    assert "in net benefit (threshold 36 %, by 1095 days) 0.000, 95 % interval" in text


def test_a_list_in_a_sentence_ends_in_and():
    from pancseg.modelling.words import listed

    assert listed([]) == ""
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a", "b"]) == "a and b"


def test_candidates_differ_where_there_are_few_features():
    """5 and 15 of 5 features are the same model; it used to count as two candidates."""
    from pancseg.modelling.algorithm import distinct
    from pancseg.modelling.estimators.described import described
    from pancseg.modelling.subtype import MODELS

    many = MODELS["elastic-net"].many(200, 0)
    assert len(many) == 10
    names = [described(each) for each in distinct(many, 5)]
    assert len(names) == len(set(names)) == 8
    assert names[:4] == [
        "2 columns, elastic net, 0.5 of the largest penalty",
        "2 columns, elastic net, 0.1 of the largest penalty",
        "2 columns, elastic net, 0.01 of the largest penalty",
        "all columns, elastic net, 0.5 of the largest penalty",
    ]
    assert len(distinct(many, 100)) == 10


def cohort(x, volume):
    index = pd.Index([f"P{i:03d}" for i in range(len(x))], name="patient_id")
    features = pd.DataFrame(x, index).add_prefix("f")
    empty = pd.DataFrame(index=index)
    beside = features[["f0"]] if volume else empty
    return JoinedTable(features, empty, beside, empty, np.asarray(index), None)


def test_a_volume_that_was_declared_is_no_leak():
    """It is what radiomics is compared with, and it may be strong."""
    random = np.random.default_rng(5)
    y = np.arange(100) % 2
    x = random.normal(size=(100, 6))
    x[:, 0] = y + random.normal(0, 0.3, 100)
    endpoint = Endpoint("subtype", y, ("y",), ("no", "yes"))
    (line,) = doubts_of(cohort(x, volume=False), endpoint)
    assert line.text.startswith("One column alone predicts the outcome strongly (AUC): 'f0' (")
    assert doubts_of(cohort(x, volume=True), endpoint) == []
    assert doubts_of(cohort(x[:, :1], volume=True), endpoint) == []


def test_events_per_column_count_every_candidate_feature():
    """A ridge of all features is a candidate: 50 events for 40 features are few."""
    y = np.arange(100) % 2
    joined = cohort(np.random.default_rng(6).normal(size=(100, 40)), volume=False)
    endpoint = Endpoint("subtype", y, ("y",), ("no", "yes"))
    said = events_per_column(joined, endpoint)
    assert said == "50 patients of the smaller class, 40 candidate columns: 1.2 per column."
    warned = " ".join(warnings_of(joined, endpoint, ModelSettings(kind="subtype")))
    assert "for models of up to 40 variables (radiomics): 1.2 per variable" in warned
