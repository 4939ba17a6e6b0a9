"""Sentences that hold for one algorithm or kind of outcome are not said of the others."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from pancseg.modelling import subtype
from pancseg.modelling.algorithm import distinct
from pancseg.modelling.report.methods import models
from pancseg.modelling.report.methods.models import _compared, _linear, models_text
from pancseg.modelling.report.methods.section import _data
from pancseg.modelling.report.model_card import _setting
from pancseg.modelling.report.model_numbers import Tuning
from pancseg.modelling.report.performance_section import beside_section
from pancseg.modelling.report.survival_sections import _median_time
from pancseg.modelling.study import BOTH, CLINICAL, RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.validation.comparison import Comparison
from pancseg.modelling.validation.measures import Estimate
from pancseg.modelling.verdict import HowCompared, verdict

NONE, GOOD = Estimate(0.0, -0.1, 0.1), Estimate(0.75, 0.7, 0.8)


def results_of(model, kind="subtype", candidates=()):
    specs = [SimpleNamespace(name=n, candidates=candidates) for n in (RADIOMICS, CLINICAL, BOTH)]
    task = SimpleNamespace()
    settings = SimpleNamespace(model=model, kind=kind, stability_sha256=None, imputations=1)
    return SimpleNamespace(settings=settings, plan=SimpleNamespace(specs=specs, task=task))


@pytest.mark.parametrize("model", ["elastic-net", "random-forest", "gradient-boosting"])
def test_only_linear_models_have_coefficients_and_penalties(model):
    """Of a forest it was said that the coefficient of the score cannot be negative."""
    text, linear = _compared(results_of(model)), model == "elastic-net"
    assert ("its coefficient cannot be negative" in text) is linear
    assert ("no risk falls as it rises" in text) is not linear
    assert ("have no penalty" in text) is linear
    weights = {"age": 0.7, "radiomics score": 0.3}
    model_of = SimpleNamespace(weights=[weights, weights])
    found = SimpleNamespace(
        **vars(results_of(model)),
        final={BOTH: SimpleNamespace(beside=weights)},
        validation=SimpleNamespace(models={BOTH: model_of}),
    )
    (line,) = beside_section(found).lines
    assert ("penalised" in line) is linear


def joined_of(*clinical):
    empty = np.zeros((9, 0))
    frame = SimpleNamespace(
        size=lambda: "9 patients", features=np.zeros((9, 30)), clinical=empty, volume=empty,
        origin=SimpleNamespace(levels=dict.fromkeys(clinical, ())), batch=None,
    )  # fmt: skip
    return frame


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["age"], "The clinical variable was age."),
        (["age", "bmi", "sex"], "The clinical variables were age, bmi and sex."),
    ],
)
def test_one_clinical_variable_is_singular(names, said):
    endpoint = SimpleNamespace(kind="subtype", classes=("no", "yes"))
    assert said in _data(joined_of(*names), endpoint)


def test_a_forest_is_not_said_to_have_seen_more_features_than_there_are(monkeypatch):
    """Of 30 features it was said to have seen "the 50 features"."""
    monkeypatch.setattr(models, "imputations_of", lambda settings, joined: 1)
    text = models_text(results_of("random-forest", candidates=(1, 2)), joined_of())
    assert "It saw at most 50 features, those most strongly associated with the outcome" in text


@pytest.mark.parametrize(
    ("columns", "smallest", "said"),
    [
        (
            100,
            60,
            "of the 2, 5 or 15 features that were most strongly associated with the outcome, each "
            "alone (AUC), with a penalty of 0.5, 0.1 or 0.01 (of 2 features only) times",
        ),
        (4, 60, "of all features or the 2 features that were most strongly associated"),
        (2, 60, "of all features with a penalty of 0.5, 0.1 or 0.01 times"),
        (100, 8, "of the 2 features that were most strongly associated with the outcome, each"),
    ],
)
def test_the_candidates_in_the_methods_are_those_that_there_are(columns, smallest, said):
    """Elastic nets of all of 4 features were candidates, and not named; 0.01 was of 2 only."""
    found = distinct(subtype.MODELS["elastic-net"].many(smallest, 0), columns)
    assert said in _linear(results_of("elastic-net", candidates=found))


def test_survival_is_compared_by_its_own_brier_score():
    more = Comparison(Estimate(0.1, 0.02, 0.2), Estimate(-0.02, -0.04, -0.01), NONE, 0.01)
    pairs = {(RADIOMICS, VOLUME): more, (RADIOMICS, SINGLE): more, (BOTH, CLINICAL): more}
    judged = {name: {"C": GOOD} for name in (RADIOMICS, VOLUME, SINGLE, CLINICAL, BOTH)}
    text = " ".join(verdict(judged, pairs, "C", HowCompared(brier="integrated Brier")))
    assert text.count("in the integrated Brier score") == 3
    assert "in the Brier score" not in text


def test_the_p_value_of_added_information_is_not_read_as_that_of_the_difference():
    """ "radiomics ranks patients worse (… likelihood-ratio p = 0.042)": p was of adding to it."""
    less = Comparison(Estimate(-0.08, -0.157, -0.008), NONE, NONE, 0.042)
    pairs = {(RADIOMICS, VOLUME): less, (RADIOMICS, SINGLE): less}
    judged = {name: {"AUC": GOOD} for name in (RADIOMICS, VOLUME, SINGLE)}
    text = " ".join(verdict(judged, pairs, "AUC"))
    added = "the score of radiomics added to that of {}, likelihood-ratio p = 0.042"
    assert added.format("volume") in text
    assert added.format("the feature") in text


@pytest.mark.parametrize("p", [0.0005, 0.3, math.nan])
def test_a_small_p_beside_an_interval_with_0_is_explained(p):
    """ "Radiomics is not shown to add … likelihood-ratio p < 0.001" seemed to contradict itself."""
    more = Comparison(Estimate(0.063, -0.004, 0.133), NONE, NONE, p)
    text = " ".join(verdict({RADIOMICS: {"AUC": GOOD}, CLINICAL: {"AUC": GOOD}},
                            {(BOTH, CLINICAL): more}, "AUC"))  # fmt: skip
    assert "Radiomics is not shown to add to the clinical variables (" in text
    assert ("A likelihood-ratio p below 0.05 does not count alone, and the" in text) is (p < 0.05)
    assert "A gain in AUC of up to 0.133 cannot be excluded." in text


def test_a_median_with_an_open_interval_is_said_in_words():
    assert _median_time(Estimate(2286.0, 1989.0, math.nan)) == "2286 (1989 to not reached)"


@pytest.mark.parametrize(("alike", "said"), [(0, "none of them had"), (3, "3 of them had")])
def test_the_card_says_none_for_no_model(alike, said):
    tuning = Tuning("x", 8, {"x": alike, "y": 6 - alike})
    assert said in _setting(tuning)[0]


@pytest.mark.parametrize(("off", "said"), [(0.0, False), (0.002, True)])
def test_no_sentence_rests_on_digits_that_are_not_printed(off, said):
    """A Brier difference of "−0.058 to 0.000" was called better, its end being −0.0003."""
    brier = Estimate(-0.029, -0.058, -0.0003 - off)
    more = Comparison(Estimate(0.034, -0.005, 0.074), brier, NONE, 0.0001)
    judged = {name: {"AUC": GOOD} for name in (RADIOMICS, VOLUME, CLINICAL)}
    text = " ".join(verdict(judged, {(RADIOMICS, VOLUME): more}, "AUC"))
    assert ("though its predicted risks are better" in text) is said
    gain = Comparison(Estimate(0.1, 0.0003 + off, 0.2), NONE, NONE, 0.001)
    text = " ".join(verdict(judged, {(RADIOMICS, VOLUME): gain}, "AUC"))
    assert ("More than volume" in text) is said
    chance = {RADIOMICS: {"AUC": Estimate(0.6, 0.5003 + off, 0.7)}}
    assert ("No evidence" in " ".join(verdict(chance, {}, "AUC"))) is not said


@pytest.mark.parametrize("high", [0.48, 0.55])
def test_a_true_value_below_chance_is_not_told_as_what_cannot_be_excluded(high):
    text = " ".join(verdict({RADIOMICS: {"AUC": Estimate(0.4, 0.3, high)}}, {}, "AUC"))
    assert ("a true AUC up to" in text) is (high > 0.5)
    assert ("All of the interval is at or below 0.5" in text) is (high < 0.5)
