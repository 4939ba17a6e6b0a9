"""Competing events: incidence and regression against R and statsmodels, and what is said of them.

Numbers marked R were made by R 4.2.2, cmprsk 2.2-11 (``cuminc``) and survival 3.5-3 (``finegray``
and ``coxph`` with Breslow's ties) on the table of :func:`cohort`.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import CumIncidenceRight
from typer.testing import CliRunner

from pancseg.cli import app
from pancseg.modelling.competing_events import mean_score, ratio_of
from pancseg.modelling.estimators.competing import cumulative_incidence, fine_gray
from pancseg.modelling.estimators.cox_solver import newton_cox
from pancseg.modelling.estimators.survival_array import survival_outcome


def cohort(n=160):
    random = np.random.default_rng(12)
    x = random.normal(size=(n, 30))
    a = random.exponential(20 * np.exp(-x[:, 0]))
    other, censored = random.exponential(15, n), random.uniform(5, 60, n)
    time = np.minimum.reduce([a, other, censored])
    cause = np.where(time == a, 1, np.where(time == other, 2, 0))
    return np.round(x, 5), np.round(time, 2), cause


def test_the_cumulative_incidence_is_that_of_r():
    _, time, cause = cohort()
    found = cumulative_incidence(time, cause, np.array([5.0, 10.0, 20.0]))
    assert found == pytest.approx([0.225, 0.343520642182, 0.388801295406], abs=1e-11)  # R
    tied = cumulative_incidence(np.ceil(time / 3), cause, np.array([2.0, 4.0, 8.0]))
    assert tied == pytest.approx([0.2375, 0.354532427121, 0.394791712658], abs=1e-11)  # R


@pytest.mark.parametrize("seed", range(5))
def test_the_cumulative_incidence_is_that_of_statsmodels(seed):
    random = np.random.default_rng(seed)
    time, cause = random.integers(1, 15, 70).astype(float), random.integers(0, 3, 70)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # its standard errors, at the last time
        other = CumIncidenceRight(time, cause)
    assert cumulative_incidence(time, cause, other.times) == pytest.approx(other.cinc[0])


def test_with_events_alone_it_is_one_minus_kaplan_meier():
    from pancseg.modelling.estimators.cox import kaplan_meier

    _, time, cause = cohort()
    y = survival_outcome(cause == 1, time)
    times = np.linspace(1, 50, 7)
    alone = cumulative_incidence(time, np.where(cause == 1, 1, 0), times)
    assert alone == pytest.approx(1 - kaplan_meier(y, times))
    assert alone[-1] - cumulative_incidence(time, cause, times)[-1] > 0.15


def test_fine_and_gray_is_that_of_r():
    x, time, cause = cohort()
    found = fine_gray(x[:, :2], time, cause)
    assert found == pytest.approx([0.952223655141, 0.261106685886], abs=1e-10)  # R
    tied = fine_gray(x[:, :2], np.ceil(time / 3), cause)
    assert tied == pytest.approx([0.865266354715, 0.230299223033], abs=1e-10)  # R


def test_fine_and_gray_without_competing_events_is_cox():
    x, time, cause = cohort()
    time += np.linspace(0, 1e-6, len(time))  # no ties, which Cox handles as Efron does
    y = survival_outcome(cause == 1, time)
    alone = fine_gray(x[:, :2], time, np.where(cause == 1, 1, 0))
    assert alone == pytest.approx(newton_cox(x[:, :2], y, 0.0, 0.0), abs=1e-6)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("competing")
    x, time, cause = cohort()
    ids = [f"P{i:03d}" for i in range(len(x))]
    table = pd.DataFrame(x, columns=[f"f{j:02d}" for j in range(30)]).set_axis(ids)
    table.rename_axis("id").to_csv(folder / "f.csv")
    clinical = pd.DataFrame({"id": ids, "months": time, "status": cause})
    clinical.to_csv(folder / "c.csv", index=False)
    return folder


def command(folder, *words):
    line = ["model", "survival", folder / "f.csv", "--outcome", folder / "c.csv"]
    line += ["--time", "months", "--event", "status", *words, "--out", folder / "out"]
    line += ["--canary", 0, "--repeats", 1, "--folds", 3, "--inner-folds", 2, "--workers", 1]
    return CliRunner().invoke(app, [str(word) for word in line])


def test_other_codes_are_called_cause_specific(files):
    """Before, competing deaths became censoring without a word."""
    found = command(files, "--event-is", 1)
    assert found.exit_code == 0, found.output
    line = "Cause-specific: 2 values of the event column count as censored ('2' 82, '0' 15 "
    assert line in found.output
    assert "name it with --competing" in found.output
    assert line in (files / "out" / "report.md").read_text().split("## Data")[0]


def test_competing_events_are_told_with_what_r_finds(files):
    found = command(files, "--event-is", "1.0", "--competing", "2.0")
    assert found.exit_code == 0, found.output
    assert "Cause-specific: 82 patients with a competing event count as censored" in found.output
    assert "only if these are independent of the event, which cannot be tested." in found.output
    report = (files / "out" / "report.md").read_text()
    assert (
        "The event occurs in 42.0 % of the patients by 25.71 time units (Aalen–Johansen)" in report
    )
    said = "1 − Kaplan–Meier, 73.6 %, would be the share without them under the same assumption."
    assert said in report
    parts = {part.split("\n")[0]: part for part in report.split("\n## ")}
    assert "Competing events count as censored in every column" in parts["Performance"]
    assert "predictions are not compared with the Aalen–Johansen inc" in parts["Calibration"]
    figures = [line for line in parts["Figures"].splitlines() if line.startswith("**Figure")]
    assert len(figures) == 4
    assert all(line.endswith("Competing events count as censored.") for line in figures)
    assert "(Kaplan–Meier, competing events censored): " in parts["Follow-up"]
    assert "Competing events count as censored." in parts["Risk groups"]
    methods = parts["Methods, ready to paste"]
    assert "Predictions were not calibrated against cumulative incidence." in methods
    assert "without competing events, if these are independent of the event." in methods
    assert "only if these are independent of the event; no risk here" in parts["Performance"]
    card = (files / "out" / "MODEL.md").read_text()
    assert "the one without them, if they are independent of the event" in card
    assert "in 160 patients: 1 repeat of 3 outer and 2 inner folds" in card
    lines = [line.split("|") for line in report.splitlines()]
    rows = {cells[1].strip(): cells[2] for cells in lines if len(cells) > 3}
    own = pd.read_csv(files / "out" / "predictions.csv").query("model == 'radiomics'")
    _, time, cause = cohort()
    own["score"] -= own.groupby(["repeat", "fold"])["score"].transform("mean")
    score = own.groupby("id")["score"].mean().to_numpy()
    np.testing.assert_array_equal(own.sort_values("id")["cause"], cause)
    ratio = np.exp(fine_gray(score[:, None] / score.std(), time, cause)[0])
    assert f" {ratio:.3f} (" in rows["event, subdistribution (Fine–Gray)"]
    assert "competing: ['2.0']" in (files / "out" / "settings.yaml").read_text().replace(
        "competing:\n  - '2.0'", "competing: ['2.0']"
    )
    applied = CliRunner().invoke(
        app, ["predict", *map(str, (files / "out", files / "f.csv", "--out", files / "p.csv"))]
    )
    assert applied.exit_code == 0, applied.output
    assert "event-free shares ignore competing events (2.0) and are no risks" in applied.output


def test_scores_of_folds_are_centred_before_they_are_averaged():
    """A constant that a fold's model adds to all its log hazards must change nothing."""
    random = np.random.default_rng(3)
    folds = np.array([random.permutation(60) % 3 for _ in range(2)])
    scores = random.normal(size=(2, 60))
    found = mean_score(scores, folds)
    shifts = np.array([[0.0, 5.0, -7.0], [2.0, 0.0, 1.0]])
    shifted = scores + np.take_along_axis(shifts, folds, axis=1)
    np.testing.assert_allclose(mean_score(shifted, folds), found, atol=1e-12)
    one = mean_score(scores[:1], folds[:1])
    assert [one[folds[0] == fold].mean() for fold in range(3)] == pytest.approx([0, 0, 0])
    assert np.ptp(one) > 1


def test_the_interval_of_a_hazard_ratio_is_normal_on_the_log_scale():
    """Before, percentiles of resamples: shifted as they are, and moved by single outliers."""
    random = np.random.default_rng(0)
    resampled = random.normal(0.7, 0.2, 2000)  # 0.2 above the estimate
    resampled[:40] = 25.0
    found = ratio_of(np.append(0.5, resampled))
    assert np.log(found.value) == pytest.approx(0.5)
    assert np.log(found.high) - 0.5 == pytest.approx(0.5 - np.log(found.low))
    assert np.log(found.high) - 0.5 == pytest.approx(1.96 * 0.2, rel=0.06)
    nothing = ratio_of(np.full(3, np.nan))
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_late_times_are_told_without_an_exponent():
    from pancseg.modelling.competing_events import cause_specific
    from pancseg.modelling.endpoint import Endpoint

    _, time, cause = cohort()
    y = survival_outcome(cause == 1, 100 * time)
    (said,) = cause_specific(Endpoint("survival", y, ("days", "status"), cause=cause), "days")
    assert f" by {100 * time[cause == 1].max():.0f} days (Aalen–Johansen)" in said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--competing", 2], "--competing: name the value of 'status' that means event with"),
        (
            ["--event-is", 1, "--competing", "1.0"],
            "--competing 1.0: that value is the event itself",
        ),
        (["--event-is", 1, "--competing", 7], "no row has the value '7' of --competing; found '2'"),
    ],
)
def test_codes_that_cannot_be_are_refused(files, words, line):
    found = command(files, *words)
    assert found.exit_code == 2
    assert line in found.output
    assert found.output.count("\n") == 1
