"""The report of a model on new patients, and the calibration that it prints."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_studies import written_tables

from pancseg import fit_model, load_model, predict
from pancseg.modelling.estimators.cox import kaplan_meier
from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.recalibration import recalibrated_class, recalibrated_survival
from pancseg.modelling.validation.calibration import in_the_large
from pancseg.modelling.validation.observed_expected import mean_risk, observed_risk

QUICK = {"folds": 3, "inner_folds": 2, "repeats": 1, "canary": 0, "workers": 1}
N = 80
tables = partial(written_tables, N)


@pytest.fixture(scope="module")
def validated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("external")
    old, new = tables(folder, "old", 1), tables(folder, "new", 2, 1.5)
    found = {}
    for kind, options in {
        "subtype": {"label": "class", "positive": "high"},
        "survival": {"time": "time", "event": "event", "horizons": [4, 9], "time_unit": "months"},
    }.items():
        fit_model(*old, folder / kind, **options, **QUICK)
        out = folder / f"{kind}_new.csv"
        result = predict(folder / kind, *new, out)
        assert result.not_judged is None
        found[kind] = SimpleNamespace(
            model=load_model(folder / kind),
            table=pd.read_csv(out).set_index("id"),
            features=pd.read_csv(new[0], index_col="id"),
            outcomes=pd.read_csv(new[1], index_col="id"),
            training=pd.read_csv(old[0], index_col="id"),
            report=(folder / f"{kind}_new_report" / "report.md").read_text(),
            folder=folder / f"{kind}_new_report",
            result=result,
            paths=(folder / kind, *new, out),
        )
    return found


def cells(report, section, row):
    text = report.split(f"\n## {section}\n")[1]
    line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip().replace("−", "-") for cell in line.split("|")[1:-1]]


def test_calibration_of_a_class_is_that_of_statsmodels(validated):
    import statsmodels.api as sm
    from scipy.special import logit

    case = validated["subtype"]
    y = (case.outcomes["class"] == "high").to_numpy(float)
    p = case.table.loc[case.outcomes.index, "radiomics"].to_numpy()
    fitted = sm.GLM(y, np.ones((N, 1)), family=sm.families.Binomial(), offset=logit(p)).fit()
    row = cells(case.report, "Calibration", "radiomics")
    assert row[1].startswith(f"{fitted.params[0]:.3f} (")
    assert row[2].startswith(f"{y.mean() / p.mean():.3f} (")
    both = sm.Logit(y, sm.add_constant(logit(p))).fit(disp=0)
    assert row[3].startswith(f"{both.params[1]:.3f} (")
    shift, intercept, slope = (
        float(cell) for cell in cells(case.report, "Recalibration", "radiomics")[1:]
    )
    assert shift == pytest.approx(fitted.params[0], rel=1e-3)
    assert [intercept, slope] == pytest.approx(list(both.params), rel=1e-3)


def test_observed_and_expected_of_survival_are_those_of_lifelines(validated):
    from lifelines import KaplanMeierFitter

    case = validated["survival"]
    fitter = KaplanMeierFitter().fit(case.outcomes["time"], case.outcomes["event"])
    row = cells(case.report, "Calibration", "radiomics")
    for place, horizon in enumerate((4, 9), start=1):
        free = case.table.loc[case.outcomes.index, f"radiomics_event_free_at_{horizon}"]
        ratio = (1 - float(fitter.predict(horizon))) / (1 - free).mean()
        assert row[place].startswith(f"{ratio:.3f} (")


def test_recalibrated_survival_fits_the_new_patients(validated):
    from lifelines import CoxPHFitter

    case = validated["survival"]
    y = survival_outcome(case.outcomes["event"].to_numpy(), case.outcomes["time"].to_numpy())
    score = case.table.loc[case.outcomes.index, "radiomics"].to_numpy()
    found = recalibrated_survival(y, score, np.array([4.0, 9.0]))
    frame = case.outcomes[["time", "event"]].assign(score=score)
    fitted = CoxPHFitter().fit(frame, "time", "event")
    assert found.slope == pytest.approx(fitted.params_["score"], rel=1e-3)
    curve = fitted.predict_survival_function(pd.DataFrame({"score": [found.centre]}), [4.0, 9.0])
    np.testing.assert_allclose(found.baseline, curve.iloc[:, 0], atol=0.01)
    assert cells(case.report, "Recalibration", "radiomics")[1] == f"{found.slope:.4g}".ljust(5, "0")


def test_values_outside_the_training_are_counted(validated):
    case = validated["subtype"]
    column = case.model.models["radiomics"].columns[0]
    low, high = case.training[column].min(), case.training[column].max()
    outside = ((case.features[column] < low) | (case.features[column] > high)).sum()
    assert outside > 0
    row = cells(case.report, "Values outside the range of the training", column)
    assert row[2] == str(outside)
    assert "rows have a value outside the range of the training" in case.report


def test_case_mix_is_that_of_both_cohorts(validated):
    from scipy.special import logit

    case = validated["subtype"]
    mine = logit(case.table.loc[case.outcomes.index, "radiomics"])
    row = cells(case.report, "Case mix", "radiomics")
    assert float(row[3]) == pytest.approx(mine.mean(), rel=1e-3)
    assert float(row[4]) == pytest.approx(mine.std(ddof=0), rel=1e-3)
    old = predict(case.model, case.paths[1].parent / "old_f.csv").table["radiomics"]
    assert float(row[1]) == pytest.approx(logit(old).mean(), rel=1e-3)
    mix = validated["survival"].report.split("## Case mix")[1].split("## ")[0]
    assert "e−" not in mix  # the training's mean log hazard was told as 2.019e−18


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_the_verdict_names_the_cohort_and_the_development(validated, kind):
    case = validated[kind]
    verdict = case.report.split("## Verdict")[1].split("## ")[0]
    main = "AUC" if kind == "subtype" else "Harrell's C"
    value = case.result.measures["radiomics"][main]
    assert f"({main} {value.value:.3f} (" in verdict
    before = case.model.facts["measures"]["radiomics"][main][0]
    assert f"it was {before:.3f} (" in verdict
    assert f"{N} patients, " in verdict
    for name in ("report.html", "report.docx", "calibration.svg"):
        assert (case.folder / name).stat().st_size > 1000


def test_a_validation_that_fails_leaves_no_old_report(validated):
    case = validated["subtype"]
    _, features, outcomes, out = case.paths
    broken = out.with_name("one_class.csv")
    pd.read_csv(outcomes).assign(**{"class": "high"}).to_csv(broken, index=False)
    kept = (case.folder / "report.md").read_bytes()
    found = predict(case.paths[0], features, broken, out)
    assert "only one class" in found.not_judged
    assert not (case.folder / "report.md").exists()
    predict(case.paths[0], features, outcomes, out)
    assert (case.folder / "report.md").read_bytes() == kept


def test_observed_risk_under_weights_is_that_of_repeated_patients():
    random = np.random.default_rng(0)
    y = survival_outcome(random.random(40) < 0.6, random.exponential(5, 40).round())
    counts = random.integers(0, 4, 40)
    repeated = np.repeat(y, counts)
    found = observed_risk(y, 6.0, np.vstack([np.ones(40), counts]))
    assert found[0] == pytest.approx(1 - kaplan_meier(y, np.array([6.0]))[0])
    assert found[1] == pytest.approx(1 - kaplan_meier(repeated, np.array([6.0]))[0])
    risk = random.random(40)
    assert mean_risk(risk, counts[None])[0] == pytest.approx(np.repeat(risk, counts).mean())


def test_in_the_large_is_nan_for_one_class():
    y, x = np.array([1.0, 0, 1]), np.array([0.1, 2.0, -1.0])
    weights = np.array([[1.0, 1, 1], [1, 0, 1]])
    found = in_the_large(y, 1 / (1 + np.exp(-x)), weights)
    p = 1 / (1 + np.exp(-(x + found[0])))
    assert p.sum() == pytest.approx(2)
    assert np.isnan(found[1])
    assert recalibrated_class(y, x).shift == pytest.approx(found[0])


def test_patients_followed_for_too_short_or_without_early_events_still_get_a_report(validated):
    """Times in another unit: no follow-up to any horizon, or no event before one."""
    case = validated["survival"]
    _, features, outcomes, out = case.paths
    for factor, drawn in ((0.001, False), (1000, True)):
        other = out.with_name(f"times_{factor}.csv")
        table = pd.read_csv(outcomes)
        table.assign(time=table["time"] * factor).to_csv(other, index=False)
        found = predict(case.paths[0], features, other, out.with_name(f"at_{factor}.csv"))
        assert found.not_judged is None
        folder = out.with_name(f"at_{factor}_report")
        assert (folder / "time_dependent_roc.png").exists() == drawn
        report = (folder / "report.md").read_text()
        assert ("time_dependent_roc.png" in report) == drawn
        assert "nan" not in report.replace("nanmedian", "")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["report.md"], "report.md in p_report is not of an external validation"),
        (
            [f"note_{k}.txt" for k in range(9)],
            "p_report, the folder for the report: .*9 .*; move",
        ),
    ],
)
def test_a_folder_of_somebody_else_is_not_written_to(validated, tmp_path, names, message):
    model, *new, _ = validated["subtype"].paths
    folder = tmp_path / "p_report"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("# My paper")
    with pytest.raises(ValueError, match=message):
        predict(model, *new, tmp_path / "p.csv")
    assert {path.name for path in folder.iterdir()} == set(names)
    assert all(path.read_text() == "# My paper" for path in folder.iterdir())
    assert not (tmp_path / "p.csv").exists()
    predict(model, new[0], None, tmp_path / "p.csv")  # without outcomes there is no report


def test_a_report_is_not_written_through_a_link(validated, tmp_path):
    model, *new, _ = validated["subtype"].paths
    folder, elsewhere = tmp_path / "p_report", tmp_path / "paper.md"
    folder.mkdir()
    elsewhere.write_text("# My paper")
    (folder / "report.md").symlink_to(elsewhere)
    with pytest.raises(ValueError, match=r"p_report.*: report.md in the output folder is a link"):
        predict(model, *new, tmp_path / "p.csv")
    assert elsewhere.read_text() == "# My paper"
