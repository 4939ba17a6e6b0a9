"""Curves, net benefit and Brier scores in new patients, recomputed from the predictions file."""

from functools import partial
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from small_studies import events_first, written_tables

from pancseg import fit_model, predict
from pancseg.modelling import apply
from pancseg.modelling.report.external import curves as external_curves
from pancseg.modelling.report.figures import decision_axes

QUICK = {"folds": 3, "inner_folds": 2, "repeats": 1, "canary": 0, "workers": 1}
N, HORIZONS = 90, (4, 9)
MODELS = ["radiomics", "volume only"]
tables = partial(written_tables, N)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Return kind → predictions, outcomes, measures, report, and what the report was made of."""
    folder, found = tmp_path_factory.mktemp("curves"), {}
    old, new = tables(folder, "old", 1), tables(folder, "new", 2, 0.5)
    for kind, options in {
        "subtype": {"label": "class", "positive": "high"},
        "survival": {
            "time": "time", "event": "event", "horizons": list(HORIZONS), "time_unit": "months",
        },
    }.items():  # fmt: skip
        fit_model(*old, folder / kind, **options, **QUICK)
        out = folder / f"{kind}_new.csv"
        with mock.patch.object(apply, "external_files", wraps=apply.external_files) as told:
            result = predict(folder / kind, *new, out)
        outcomes = pd.read_csv(new[1], index_col="id")
        measures = pd.read_csv(folder / f"{kind}_new_validation.csv")
        found[kind] = SimpleNamespace(
            table=pd.read_csv(out).set_index("id").loc[outcomes.index],
            outcomes=outcomes,
            measures=measures.set_index(["model", "measure"])["value"],
            folder=folder / f"{kind}_new_report",
            report=(folder / f"{kind}_new_report" / "report.md").read_text(),
            judged=told.call_args.args[0],
            result=result,
            paths=(folder / kind, *new, out),
        )
    return found


def risk_of(case, model, horizon=None):
    name = model.replace(" ", "_")
    if horizon is None:
        return case.table[name].to_numpy()
    return 1 - case.table[f"{name}_event_free_at_{horizon}"].to_numpy()


def outcome_of(case):
    from sksurv.util import Surv

    time, event = case.outcomes["time"], case.outcomes["event"]
    return Surv.from_arrays(event, events_first(time, event))


def weights_of(case, horizon):
    """Return weights as one with and one without the event, of scikit-survival's censoring."""
    from sksurv.nonparametric import CensoringDistributionEstimator

    y = outcome_of(case)
    free = CensoringDistributionEstimator().fit(y)
    died = y["event"] & (y["time"] <= horizon)
    own = np.ones(N)
    own[died] = free.predict_proba(y["time"][died])
    then = float(free.predict_proba(np.array([float(horizon)]))[0])
    return died / own, (y["time"] > horizon) / then


def smooth(risk, known, died):
    """Return the risks and the curve of locally weighted lines, by least squares at each risk."""
    grid = np.linspace(*np.quantile(risk, [0.01, 0.99]), 40)
    curve = []
    for at in grid:
        away = np.abs(risk - at)
        reach = np.sort(away)[int(0.75 * len(away)) - 1]  # as R's loess does
        kernel = (1 - np.clip(away / reach, 0, 1) ** 3) ** 3
        root = np.sqrt(kernel * known)
        seen = np.divide(died, known, out=np.zeros(len(risk)), where=known > 0)
        design = np.column_stack([np.ones(len(risk)), risk - at])
        curve.append(np.linalg.lstsq(root[:, None] * design, root * seen, rcond=None)[0][0])
    return grid, np.clip(curve, 0, 1)


@pytest.mark.parametrize("model", MODELS)
def test_net_benefit_of_a_class_is_that_of_its_confusion_matrix(judged, model):
    from sklearn.metrics import confusion_matrix

    case = judged["subtype"]
    y, risk = (case.outcomes["class"] == "high").to_numpy(int), risk_of(case, model)
    curves = external_curves.decision(case.judged, MODELS, 20)
    assert sorted(set(curves["model"])) == ["all", *MODELS]
    for name, called in ((model, lambda t: risk >= t), ("all", lambda t: np.ones(N, bool))):
        rows = curves[curves["model"] == name]
        np.testing.assert_allclose(rows["threshold"], np.arange(0.01, 0.995, 0.01))
        for threshold, value in zip(rows["threshold"], rows["net_benefit"], strict=True):
            _, false, _, true = confusion_matrix(y, called(threshold)).ravel()
            expected = (true - false * threshold / (1 - threshold)) / N
            assert value == pytest.approx(expected, abs=1e-6)
    share = y.mean()
    _, false, _, true = confusion_matrix(y, risk >= share).ravel()
    found = case.measures[model, f"net benefit at {100 * share:.0f} %"]
    assert found == pytest.approx((true - false * share / (1 - share)) / N, abs=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_net_benefit_of_survival_is_weighted_for_censoring(judged, model):
    from lifelines import KaplanMeierFitter

    case = judged["survival"]
    risk, (died, free) = risk_of(case, model, 9), weights_of(case, 9)
    curves = external_curves.decision(case.judged, MODELS, 20)
    for name, predicted in ((model, risk), ("all", np.ones(N))):
        rows = curves[curves["model"] == name]
        for threshold, value in zip(rows["threshold"], rows["net_benefit"], strict=True):
            called = predicted >= threshold
            expected = (called * (died - free * threshold / (1 - threshold))).mean()
            assert value == pytest.approx(expected, abs=1e-6)
    fitter = KaplanMeierFitter().fit(case.outcomes["time"], case.outcomes["event"])
    share = 1 - float(fitter.predict(9))
    found = case.measures[model, f"net benefit by 9 at {100 * share:.0f} %"]
    expected = ((risk >= share) * (died - free * share / (1 - share))).mean()
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_brier_scores_and_aucs_at_the_horizons_are_those_of_scikit_survival(judged, model):
    from sksurv.metrics import brier_score, cumulative_dynamic_auc, integrated_brier_score

    case = judged["survival"]
    y, times = outcome_of(case), np.array(HORIZONS, float)
    free = 1 - np.column_stack([risk_of(case, model, t) for t in HORIZONS])
    _, each = brier_score(y, y, free, times)
    areas, _ = cumulative_dynamic_auc(y, y, case.table[model.replace(" ", "_")], times)
    for time, brier, area in zip(HORIZONS, each, areas, strict=True):
        assert case.measures[model, f"Brier at {time}"] == pytest.approx(brier, abs=1e-6)
        assert case.measures[model, f"AUC at {time}"] == pytest.approx(area, abs=1e-6)
    expected = integrated_brier_score(y, y, free, times)
    assert case.measures[model, "integrated Brier, 4 to 9"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("horizon", [None, *HORIZONS])
def test_the_smooth_curve_and_its_index_are_local_lines(judged, model, horizon):
    case = judged["subtype" if horizon is None else "survival"]
    risk = risk_of(case, model, horizon)
    if horizon is None:
        died = (case.outcomes["class"] == "high").to_numpy(float)
        free = 1 - died
    else:
        died, free = weights_of(case, horizon)
    grid, curve = smooth(risk, died + free, died)
    drawn = external_curves.calibration_curves(case.judged, MODELS, 20)[model][horizon or 0.0]
    np.testing.assert_allclose(drawn.risk, grid, atol=1e-6)
    np.testing.assert_allclose(drawn.observed, curve, atol=1e-6)
    assert (drawn.low <= drawn.high).all()
    expected = np.abs(np.interp(risk, grid, curve) - risk).mean()
    name = "ICI" if horizon is None else f"ICI at {horizon}"
    assert case.measures[model, name] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_the_report_has_the_curves_with_captions_and_numbers(judged, kind):
    case = judged[kind]
    for name in ("calibration", "decision_curve"):
        assert f"{name}.png" in case.report
        for ending in ("png", "svg", "pdf"):
            assert (case.folder / f"{name}.{ending}").stat().st_size > 1000
    assert "Not computed" not in case.report
    assert "smoothed (local linear regression, span 0.75), with pointwise 95 %" in case.report
    assert "Bands: 95 % intervals of radiomics." in case.report
    benefit = case.report.split("## Net benefit")[1].split("## ")[0]
    of = "an event by 9 months" if kind == "survival" else "the positive class"
    assert f"**Figure 3.** Decision curves (Vickers and Elkin 2006) of the risk of {of}" in benefit
    assert f"in the new patients ({N} patients, " in benefit
    value = next(v for k, v in case.measures["radiomics"].items() if k.startswith("net benefit"))
    assert f"the net benefit of radiomics is {value:.3f} (".replace("-", "−") in benefit
    index = case.measures["radiomics", "ICI at 9" if kind == "survival" else "ICI"]
    verdict = case.report.split("## Verdict")[1].split("## ")[0]
    assert f" {index:.3f} (" in verdict.split("calibration slope")[1]


def test_the_decision_curve_shows_bands_and_treating_all_and_none(judged):
    case, axes = judged["survival"], Figure().add_subplot()
    decision_axes(axes, external_curves.decision(case.judged, MODELS, 20), "title")
    assert axes.get_title() == "title"
    labels = axes.get_legend_handles_labels()[1]
    assert labels == [*MODELS, "treat all", "treat none"]
    assert len(axes.collections) == 1  # the band of radiomics


def test_what_too_few_events_make_impossible_is_said_in_words(judged):
    """Three events by 4 months: no curve there, and by 9 one of 4 to 90 rows."""
    model, features, outcomes, out = judged["survival"].paths
    few = out.with_name("few.csv")
    table = pd.read_csv(outcomes)
    rank = np.arange(N)
    table["event"] = rank < 8
    table["time"] = np.where(rank < 3, 3.0, np.where(rank < 8, 6.0 + rank / 10, 20.0))
    table.to_csv(few, index=False)
    found = predict(model, features, few, out.with_name("few_predicted.csv"))
    report = (out.with_name("few_predicted_report") / "report.md").read_text()
    assert (
        "Not computed: the smooth curves and ICI of radiomics and volume only by 4 months (3 rows "
        "with the event by 4 months and 87 known to be without it; 5 of each are needed)." in report
    )
    assert "ICI at 4" not in found.measures["radiomics"]
    assert "ICI at 9" in found.measures["radiomics"]
    assert "decision curve" in report.casefold()
    table["event"] = rank < 4
    table.loc[rank >= 4, "time"] = 20.0
    table.to_csv(few, index=False)
    predict(model, features, few, out.with_name("few_predicted.csv"))
    folder = out.with_name("few_predicted_report")
    report = (folder / "report.md").read_text()
    assert "Not computed: the decision curves of radiomics and volume only by 9 months (4" in report
    for name in ("calibration", "decision_curve"):
        assert not (folder / f"{name}.png").exists()
        assert f"{name}.png" not in report


def test_without_follow_up_to_two_horizons_there_is_no_integrated_brier_score(judged):
    model, features, outcomes, out = judged["survival"].paths
    short = out.with_name("short.csv")
    table = pd.read_csv(outcomes)
    table["event"] &= table["time"] < 8
    table.assign(time=table["time"].clip(upper=8)).to_csv(short, index=False)
    found = predict(model, features, short, out.with_name("short_predicted.csv"))
    assert not [name for name in found.measures["radiomics"] if name.startswith("integrated")]
    report = (out.with_name("short_predicted_report") / "report.md").read_text()
    assert "Not computed: the integrated Brier score; it needs two of the model's times" in report
    (line,) = [line for line in report.splitlines() if line.startswith("Not computed (–): ")]
    assert "Brier at 9" in line
    assert "; no follow-up beyond that time; an AUC needs 5 patients with the event" in line
