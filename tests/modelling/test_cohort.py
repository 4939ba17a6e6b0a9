"""Who was analysed: table 1, the flow, the follow-up."""

import numpy as np
import pandas as pd
import pytest

from pancseg.modelling.checked_tables import check_tables
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.fit import plan_study
from pancseg.modelling.inputs.features_table import TableOptions
from pancseg.modelling.report.cohort_section import (
    cohort_sections,
    outcome_counts,
    outcome_groups,
)
from pancseg.modelling.settings import ModelSettings
from pancseg.modelling.validation.kaplan_meier import (
    kaplan_meier_points,
    median_follow_up,
    median_time,
)


@pytest.fixture
def study(tmp_path):
    """50 rows: 3 failed the verdict, 4 lack a clinical row, 2 lack the outcome; 6 others."""
    n = 50
    ids = [f"P{i:02d}" for i in range(n)]
    features = pd.DataFrame({"patient_id": ids, "roi": "pancreas"})
    features["qc_status"] = ["fail"] * 3 + ["pass"] * (n - 3)
    features["original_a"] = np.random.default_rng(0).normal(size=n)
    features["volume_ml"] = np.arange(n) + 10.0
    features.to_csv(tmp_path / "f.csv", index=False)
    clinical = pd.DataFrame({"patient_id": ids, "grade": ["high", "low"] * (n // 2)})
    clinical["age"] = np.arange(n) + 30.0
    clinical["sex"] = ["f", "f", "m", "m", ""] * (n // 5)
    clinical.loc[[10, 11], "grade"] = ""
    clinical = clinical.drop(index=[20, 21, 22, 23])
    others = pd.DataFrame({"patient_id": [f"X{i}" for i in range(6)], "grade": "high", "age": 99})
    pd.concat([clinical, others]).to_csv(tmp_path / "c.csv", index=False)
    return plan_study(
        check_tables(
            tmp_path / "f.csv",
            tmp_path / "c.csv",
            ("grade",),
            ModelSettings(kind="subtype", positive="high", outer=3, inner=2),
            TableOptions(clinical=("age", "sex"), volume="volume_ml"),
        )
    )


def test_every_row_of_both_files_is_in_the_flow(study):
    flow = [(step.count, dict(step.left_out)) for step in study.cohort.flow]
    assert flow == [
        (50, {"failed the quality verdict": 3}),
        (47, {"not in the clinical file": 4}),
        (43, {"no outcome": 2}),
        (41, {}),
    ]
    (theirs,) = study.cohort.clinical
    assert theirs.count == 52
    assert dict(theirs.left_out) == {
        "no row in the feature table": 6,
        "row failed the quality verdict": 3,
    }
    assert len(study.cohort.included) == 41
    assert sorted(study.cohort.excluded.index) == sorted(
        [f"P{i:02d}" for i in (0, 1, 2, 10, 11, 20, 21, 22, 23)] + [f"X{i}" for i in range(6)]
    )


def test_table_one_counts_what_the_files_say(study):
    section = cohort_sections(study.cohort, study.joined, study.endpoint, None)[0]
    assert section.header[1:] == [
        "all analysed (n = 41)",
        "high (n = 20)",
        "low (n = 21)",
        "left out (n = 15)",
    ]
    rows = {row[0]: row[1:] for row in section.rows}
    kept = [i for i in range(3, 50) if i not in {10, 11, 20, 21, 22, 23}]
    low, middle, high = np.percentile([30 + i for i in kept], [25, 50, 75])
    assert rows["age"][0] == f"{middle:g} ({low:g} to {high:g})"
    left_out = [30, 31, 32, 40, 41] + [99] * 6
    low, middle, high = np.percentile(left_out, [25, 50, 75])
    assert rows["age"][3] == f"{middle:g} ({low:g} to {high:g})"
    sexes = [("f", "f", "m", "m", "")[i % 5] for i in kept]
    known = len(kept) - sexes.count("")
    assert rows["– f"][0] == f"{sexes.count('f')} ({100 * sexes.count('f') / known:.0f} %)"
    titles = [row[0] for row in section.rows]
    after_sex = section.rows[titles.index("sex") :]
    missing = next(row for row in after_sex if row[0] == "– missing")
    assert missing[1] == f"{sexes.count('')} ({100 * sexes.count('') / 41:.0f} %)"
    volume = section.rows[titles.index("volume_ml") + 1]
    assert volume[0] == "– missing"
    assert (volume[1], volume[4]) == ("0 (0 %)", "9 (60 %)")  # no region, or one that failed


def rossi():
    from lifelines.datasets import load_rossi

    data = load_rossi()
    return survival_outcome(data["arrest"].to_numpy() == 1, data["week"].to_numpy(float)), data


def veterans(seed=0, n=200):

    random = np.random.default_rng(seed)
    time, censored = random.exponential(10, n).round(1) + 0.1, random.exponential(20, n).round(1)
    return survival_outcome(time <= censored, np.minimum(time, censored))


@pytest.mark.parametrize("turned", [False, True])
def test_medians_are_those_of_lifelines(turned):
    from lifelines import KaplanMeierFitter
    from lifelines.utils import median_survival_times

    y = veterans()
    fitter = KaplanMeierFitter().fit(y["time"], y["event"] != turned)
    found = median_follow_up(y) if turned else median_time(y)
    assert found.value == pytest.approx(fitter.median_survival_time_)
    ends = sorted(median_survival_times(fitter.confidence_interval_).to_numpy().ravel())
    assert [found.low, found.high] == pytest.approx(ends)


def test_a_median_that_is_not_reached_has_no_number():
    y, _ = rossi()
    assert np.isnan(median_time(y).value)
    assert median_follow_up(y).value == 52


def test_points_of_the_curve_are_those_of_lifelines():
    from lifelines import KaplanMeierFitter

    y = veterans(1)
    fitter = KaplanMeierFitter().fit(y["time"], y["event"])
    for point in kaplan_meier_points(y, [2.0, 5.0, 12.0]):
        at = point.time
        assert point.event_free.value == pytest.approx(float(fitter.predict(at)))
        interval = fitter.confidence_interval_.loc[:at].iloc[-1]
        assert [point.event_free.low, point.event_free.high] == pytest.approx(list(interval))
        assert point.at_risk == (y["time"] >= at).sum()


def test_times_on_the_command_line():
    from pancseg.cli.model_options import times_of

    assert times_of(None) == ()
    assert times_of("12,24.5") == (12.0, 24.5)
    for text in ("12;24", "0,12", "", "1,inf"):
        with pytest.raises(ValueError, match="is no list of times above 0"):
            times_of(text)


def test_the_flow_shows_what_was_left_out_and_no_formula(study):
    from pancseg.modelling.report.cohort_section import flow_files

    files = flow_files(study.cohort, "20 $x$, 21 low")
    text = files["flow.svg"].decode()
    for part in (
        "n = 50",
        "n = 41",
        "not in the clinical file",
        "failed the quality verdict",
        "$x$",
    ):
        assert part in text
    assert flow_files(study.cohort, "20 $x$, 21 low") == files


def test_competing_events_have_their_column_and_end_the_follow_up():
    """Before, they were counted as censored, in table 1 and in the median follow-up."""
    time = np.array([1.0, 2, 3, 4, 5, 6])
    cause = np.array([1, 2, 2, 0, 0, 0])
    y = survival_outcome(cause == 1, time)
    endpoint = Endpoint("survival", y, ("time", "code"), cause=cause)
    assert outcome_counts(endpoint) == "1 event, 2 competing events, 3 censored"
    assert [list(rows.nonzero()[0]) for _, rows in outcome_groups(endpoint)] == [
        [0],
        [1, 2],
        [3, 4, 5],
    ]
    assert median_follow_up(y, cause).value == 5
    assert median_follow_up(y).value == 4
