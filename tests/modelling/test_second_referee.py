"""Sentences of reports of real tables that their numbers did not carry."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_studies import written_tables

from pancseg import fit_model, predict
from pancseg.modelling.cross_validation.out_of_fold import OutOfFold
from pancseg.modelling.data_warnings import events_per_column
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.plain.equations import Equations
from pancseg.modelling.plain.model import Imputation, PlainModel, Scaling, UsedColumns
from pancseg.modelling.plain.predictors import Logistic
from pancseg.modelling.report.cohort_section import _follow_up, _rows
from pancseg.modelling.report.external.case_mix import outside_counts, values_of
from pancseg.modelling.report.external.verdict import _outside
from pancseg.modelling.report.methods.uncertainty import _drawn
from pancseg.modelling.report.methods.validation import group_name, has_groups
from pancseg.modelling.report.model_numbers import Tuning
from pancseg.modelling.report.parts import columns_named
from pancseg.modelling.report.performance_section import _fitted
from pancseg.modelling.report.verdict_section import other_setting
from pancseg.modelling.saved_model import columns_read, helping_features
from pancseg.modelling.study import RADIOMICS, SINGLE, VOLUME
from pancseg.modelling.times import timed
from pancseg.modelling.validation.calibration import smooth_curve
from pancseg.modelling.validation.risk_groups import above_threshold


def model_of(weights, imputation=None):
    """Return a model of columns a and b."""
    two = np.zeros(2)
    scaling = Scaling(two, two - 9, two + 9, two, two + 1)
    part = UsedColumns(RADIOMICS, ("a", "b"), scaling, None, imputation)
    predictor = Logistic(np.asarray(weights, float), np.zeros(1))
    return PlainModel((part,), predictor, np.asarray(weights, float), 0.5)


def test_a_feature_of_weight_0_is_not_said_to_be_used_nor_missing():
    """kidney_transplant: two of three features, there in the table, were "missing: 258"."""
    model = model_of([0.0, 1.0])
    assert columns_read(model) == [(RADIOMICS, "b")]
    saved = SimpleNamespace(models={RADIOMICS: model})
    blocks = {RADIOMICS: pd.DataFrame({"b": [1.0, 2.0]})}
    assert list(values_of(saved, blocks)) == ["b"]
    assert helping_features(saved.models) == []


def test_patients_with_the_values_of_the_median_one_are_not_high_by_rounding():
    """larynx: equal log hazards, of another order of summation, were above the median."""
    threshold = np.full((1, 4), -0.3791258745442136)
    score = threshold + np.array([[0.0, 5.6e-17, 1e-16, 0.2]])
    assert (score > threshold).sum() > 1
    found = above_threshold(OutOfFold(score, threshold, None, (), (), ()))
    assert found.tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("events", "columns", "said"), [(50, 4, "12.5 per"), (299, 30, "9.9 per"), (20, 1, "20.0 per")]
)
def test_events_per_column_are_not_rounded_up(events, columns, said):
    """larynx: 50 events in 4 columns were 12; 9.97 would be 10.0, where 10 are advised."""
    y = survival_outcome(np.arange(400) < events, np.ones(400))
    joined = SimpleNamespace(
        features=np.zeros((400, columns)), clinical=np.zeros((400, 0)),
        groups=np.arange(400), patients=None, count=lambda rows=slice(None): len(y[rows]),
    )  # fmt: skip
    endpoint = SimpleNamespace(kind="survival", y=y, strata=y["event"].astype(int))
    assert said in events_per_column(joined, endpoint)


def test_a_time_of_1_has_a_singular_and_long_times_no_exponent():
    assert timed(1, "years") == "1 year"
    assert timed(12345, "days") == "12345 days"
    assert timed(10957.5, "days") == "10957.5 days"
    assert (timed(1.00001, "years"), timed(1, "s")) == ("1 year", "1 s")


def test_follow_up_in_all_is_not_rounded_to_four_digits():
    """Stanford: 31954 days were 31950."""
    y = survival_outcome(np.array([True, False, True]), np.array([31000.0, 900.0, 54.0]))
    endpoint = Endpoint("survival", y, ("t", "e"))
    assert "; 31954 days of follow-up" in _follow_up(endpoint, "days", [60.0]).lines[0]


def test_the_ones_of_a_column_are_named_and_negative_numbers_have_a_minus():
    """leukemia: "sex | 20 (48 %)" did not say of whom."""
    assert _rows("sex", (), [pd.Series(["1", "0", "1", "1"])]) == [["sex = 1", "3 (75 %)"]]
    assert _rows("age", (), [pd.Series(["-4", "-2", "-3"])]) == [["age", "−3 (−3.5 to −2.5)"]]
    parts = [pd.Series(["1", "0", "2"]), pd.Series(["1", "0"])]
    assert _rows("n", (), parts) == [["n", "1 (0.5 to 1.5)", "0.5 (0.25 to 0.75)"]]


def test_the_outcome_is_told_by_what_its_columns_hold():
    """leukemia: the title was "Radiomics and t, status"."""
    assert columns_named(["t", "status"]) == "the time to an event (columns t and status)"
    assert columns_named(["cultivar"]) == "cultivar"


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([SINGLE], "that of one feature is practically"),
        ([SINGLE, VOLUME], "those of volume and one feature are practically"),
    ],
)
def test_one_model_is_one(others, said):
    """waltons: "those of one feature are"."""
    results = SimpleNamespace(
        settings=SimpleNamespace(model="elastic-net"), measures=dict.fromkeys(others)
    )
    assert said in _fitted(results)


def test_settings_with_commas_are_parted_by_semicolons():
    """larynx: "2 columns, elastic net, 0.5 of … (2), 2 columns, elastic net, …"."""
    tuning = Tuning("x", 3, {"2 columns, elastic net": 2, "all columns, ridge": 1})
    (line,) = other_setting(tuning)
    assert "2 columns, elastic net (2); all columns, ridge (1)." in line


def test_a_group_of_several_patients_is_no_patient():
    """dd: grouped by country, "all rows of a patient were in the same fold"."""
    joined = SimpleNamespace(
        groups=np.array(["a", "a", "b"]), count=lambda: 3, origin=SimpleNamespace(group="country")
    )
    assert (has_groups(joined), group_name(joined)) == (True, "country")
    assert _drawn(joined) == "the values of country, each with all its rows"
    joined.groups = np.array(["a", "b", "c"])
    assert (has_groups(joined), _drawn(joined)) == (False, "patients")


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    """A model of survival, and new patients of whom one has the event by the first horizon."""
    folder = tmp_path_factory.mktemp("early")
    old, new = written_tables(80, folder, "old", 1), written_tables(80, folder, "new", 2)
    fit_model(
        *old, folder / "m", time="time", event="event", horizons=[4, 9], time_unit="months",
        folds=3, inner_folds=2, repeats=1, canary=0, workers=1,
    )  # fmt: skip
    clinical = pd.read_csv(new[1])
    first = clinical["time"].where(clinical["event"]).idxmin()
    late = (clinical["time"] <= 4) & (clinical.index != first)
    clinical.loc[late, "time"] += 4
    clinical.to_csv(new[1], index=False)
    assert clinical["event"][clinical["time"] <= 4].sum() == 1
    found = predict(folder / "m", *new, folder / "p.csv")
    return found, (folder / "p_report" / "report.md").read_text()


def test_one_early_event_carries_no_auc_and_no_shift_of_the_risk(early):
    """aids: with one event by day 23, AUC 0.344 (0.289 to 0.391); "risks are too high"."""
    found, report = early
    measures = found.measures[RADIOMICS]
    assert np.isnan(measures["AUC at 4"].value)
    assert not np.isnan(measures["AUC at 9"].value)
    (line,) = [line for line in report.splitlines() if line.startswith("**Calibrated?**")]
    assert "Observed / expected at 4 months is " in line
    assert ": fewer than 5 events by then, too few to say." in line
    assert "Not computed (–): AUC at 4; " in report


@pytest.mark.parametrize(
    ("a", "c", "said"),
    [
        ([0, 9, 0], [9, 0, 9], "3 of 3 rows have a value outside the range of the training (1 of"),
        ([0, 0, 0], [9, 0, 0], "1 of 3 rows has a value outside the range of the training (none"),
        ([9, 0, 9], [0, 0, 0], "2 of 3 rows have a value outside the range of the training (all"),
    ],
)
def test_what_lies_outside_is_told_of_the_model_that_reads_it(a, c, said):
    """wine: of 7 rows outside the training's range 1 was so in a column of radiomics."""
    columns = {"a": np.array(a), "b": np.zeros(3), "c": np.array(c)}
    saved = SimpleNamespace(
        models={RADIOMICS: model_of([1.0, 1.0])}, facts={"ranges": dict.fromkeys("abc", (-1, 1))}
    )
    judged = SimpleNamespace(saved=saved, values=columns, y=np.zeros(3))
    assert said in _outside(judged, outside_counts(judged)[0])


def test_the_spread_in_the_training_is_said_to_be_of_its_own_patients(early):
    assert "The model was fitted to its training patients" in early[1]


def test_the_saved_model_still_estimates_missing_values_by_features_of_weight_0():
    """Such a feature was not read by `predict`, and its equation then had a gap."""
    one = np.ones(1)
    equations = Equations(
        np.zeros(2), np.zeros(0, np.int64), np.array([1]), np.array([[0]]), 2 * np.ones((1, 1)),
        one, 0 * one, 9 * one,
    )  # fmt: skip
    model = model_of([0.0, 1.0], Imputation(np.full(2, -99.0), np.full(2, 99.0), equations))
    assert helping_features({RADIOMICS: model}) == ["a"]
    assert columns_read(model) == [(RADIOMICS, "a"), (RADIOMICS, "b")]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"clinical": ["agee"]},
            r"column 'agee'; the clinical file has time, event, class",
        ),
        (
            {"batch": "sitee"},
            r"column 'sitee'; the clinical file has time, event, class",
        ),
    ],
)
def test_a_misspelt_column_is_answered_with_those_there_are(tmp_path, option, message):
    tables = written_tables(60, tmp_path, "t", 1)
    with pytest.raises(ValueError, match=message):
        fit_model(*tables, tmp_path / "m", label="class", positive="high", **option)


def test_a_curve_of_two_risks_is_without_a_warning_of_numpy():
    """kidney_transplant: a 0/1 feature; "RuntimeWarning: All-NaN slice" was in the terminal."""
    risk = np.repeat([[0.1, 0.4]], [90, 10], axis=1)
    status = np.zeros((1, 100, 2))
    status[0, ::7, 0], status[0, :, 1] = 1, 1
    status[0, ::7, 1] = 0
    weights = np.random.default_rng(0).multinomial(100, np.full(100, 0.01), size=30).astype(float)
    found = smooth_curve(risk, status, np.vstack([np.ones(100), weights]))
    assert found is not None
    assert np.isnan(found.low).any()
    assert 0 <= found.low[0] <= found.high[0] <= 1
