"""Competing events of new patients: counted apart, and no end of follow-up."""

import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from small_studies import written_tables

from pancseg import fit_model, predict
from pancseg.modelling.report.parts import digits

QUICK = {"folds": 3, "inner_folds": 2, "repeats": 1, "canary": 0, "workers": 1}


def with_causes(paths):
    """Let every third patient with the event die of something else; return the outcomes."""
    table = pd.read_csv(paths[1], index_col="id")
    cause = table["event"].astype(int)
    cause[cause[cause == 1].index[::3]] = 2
    table["event"] = cause
    table.to_csv(paths[1])
    return table


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("follow_up")
    old, new = written_tables(80, folder, "old", 1), written_tables(60, folder, "new", 2)
    with_causes(old)
    outcomes = with_causes(new)
    fit_model(
        *old, folder / "model", time="time", event="event", event_is="1", competing=["2"],
        horizons=[4, 9], time_unit="months", **QUICK,
    )  # fmt: skip
    return folder, new, outcomes


def patients_of(cohorts, name, outcomes, **options):
    """The report's section on the patients."""
    folder, new, _ = cohorts
    outcomes.to_csv(folder / f"{name}_c.csv")
    out = folder / f"{name}.csv"
    found = predict(folder / "model", new[0], folder / f"{name}_c.csv", out, **options)
    assert found.not_judged is None
    report = (folder / f"{name}_report" / "report.md").read_text()
    return report.split("## The patients")[1].split("## ")[0]


def reverse_median(time, over):
    return KaplanMeierFitter().fit(time, over).median_survival_time_


def test_competing_events_are_counted_apart(cohorts):
    """The report said "38 events" alone, and nothing of those that count as censored."""
    counts = cohorts[2]["event"].value_counts()
    said = f"{counts[1]} events and {counts[2]} competing events, which count as censored."
    assert said in patients_of(cohorts, "counted", cohorts[2])
    verdict = (cohorts[0] / "counted_report" / "report.md").read_text().split("## ")[1]
    assert said in verdict
    one = cohorts[2].drop(cohorts[2].index[cohorts[2]["event"] == 2][1:])
    said = f"{counts[1]} events and 1 competing event, which counts as censored."
    assert said in patients_of(cohorts, "one", one)


@pytest.mark.parametrize("given", [{}, {"event_is": "1.0"}])
def test_a_competing_death_is_no_end_of_follow_up(cohorts, given):
    outcomes = cohorts[2]
    right = reverse_median(outcomes["time"], outcomes["event"] == 0)
    wrong = reverse_median(outcomes["time"], outcomes["event"] != 1)
    assert right > wrong + 1
    text = patients_of(cohorts, f"as_coded_{len(given)}", outcomes, **given)
    assert f"Median follow-up (reverse Kaplan–Meier): {digits(right)} months." in text


def test_a_cohort_without_competing_events_is_judged_as_any(cohorts):
    outcomes = cohorts[2][cohorts[2]["event"] != 2]
    right = reverse_median(outcomes["time"], outcomes["event"] == 0)
    text = patients_of(cohorts, "none", outcomes)
    assert f"Median follow-up (reverse Kaplan–Meier): {digits(right)} months." in text


def test_with_another_coding_no_follow_up_is_claimed(cohorts):
    words = {0: "alive", 1: "of the tumour", 2: "of another cause"}
    outcomes = cohorts[2].assign(event=cohorts[2]["event"].map(words))
    text = patients_of(cohorts, "words", outcomes, event_is="of the tumour")
    assert "Median follow-up is not given: which values of the event column are competing" in text
    assert "events (competing events cannot be told from the censored, and count as such)." in text
    swapped = cohorts[2].assign(event=cohorts[2]["event"].map({0: 0, 1: 2, 2: 1}))
    assert "Median follow-up is not given" in patients_of(cohorts, "2", swapped, event_is="2")
