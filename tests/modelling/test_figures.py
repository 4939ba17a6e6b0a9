"""Figures and the numbers in them: ROC curves, stability, subgroups, files."""

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pancseg import fit_model
from pancseg.modelling.report.figures import _calibration, _decision, _highest, pictures, shown
from pancseg.modelling.report.km_figure import draw_curves
from pancseg.modelling.report.nomogram import Nomogram, Scale, _values
from pancseg.modelling.report.roc_figures import out_of_fold_roc, pooled_roc, style_of
from pancseg.modelling.report.stability import changing, risks, spreads, stability_section
from pancseg.modelling.report.subgroups import Subgroup, subgroup_estimate, subgroups_of
from pancseg.modelling.validation.risk_groups import above_threshold

QUICK = {"folds": 3, "inner_folds": 2, "repeats": 2, "canary": 0, "workers": 1}
N = 120
LONG = "original_glszm_SmallAreaLowGrayLevelEmphasis_$x$"


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    random = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("figures")
    x = random.normal(size=(N, 3))
    ids = pd.Index([f"P{i:03d}" for i in range(N)], name="id")
    pd.DataFrame(x, columns=[LONG, "b", "volume_ml"], index=ids).to_csv(folder / "f.csv")
    death, censored = random.exponential(10 * np.exp(-x[:, 0])), random.exponential(20, N)
    time = np.minimum(death, censored).round(0) + 1
    table = pd.DataFrame({"time": time, "event": death <= censored}, index=ids)
    table["class"] = np.where(x[:, 0] + random.logistic(size=N) > 0, "high", "low")
    table["sex"] = random.choice(["f", "m", ""], N, p=[0.4, 0.5, 0.1])
    table["age"] = random.normal(60, 10, N)
    table.to_csv(folder / "c.csv")
    found = {}
    for kind, options in {
        "subtype": {"label": "class", "positive": "high"},
        "survival": {"time": "time", "event": "event", "horizons": [4, 9], "time_unit": "months"},
    }.items():
        out = folder / kind
        paths = folder / "f.csv", folder / "c.csv", out
        results = fit_model(*paths, subgroup=["sex", "age"], **options, **QUICK)
        found[kind] = results, out, table
    return found


def test_the_roc_curve_starts_at_zero_and_its_area_is_the_auc_of_the_table(studies):
    results, _, _ = studies["subtype"]
    for name in ("radiomics", "volume only", "chance"):
        false, true = out_of_fold_roc(results, name)
        assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
        assert (np.diff(false) >= 0).all()
        assert (np.diff(true) >= -1e-12).all()
        area = np.trapezoid(true, false)
        assert area == pytest.approx(results.measures[name]["AUC"].value, abs=1e-7)


def test_the_curve_at_a_horizon_has_the_area_of_the_table(studies):
    results, _, _ = studies["survival"]
    for horizon in (4, 9):
        for name in ("radiomics", "chance"):
            area = np.trapezoid(*out_of_fold_roc(results, name, horizon)[::-1])
            expected = results.measures[name][f"AUC at {horizon}"].value
            assert area == pytest.approx(expected, abs=1e-7)


def test_a_curve_by_hand():
    """Two folds: 1 case above and 1 below a control; 2 cases above a control."""
    score = np.array([3.0, 2.0, 1.0])
    case, control = np.array([1.0, 0, 1]), np.array([0.0, 1, 0])
    other = np.array([1.0, 1, 0]), np.array([0.0, 0, 1])
    false, true = pooled_roc([(score, case, control), (score, *other)])
    assert true[np.searchsorted(false, 0.5)] == pytest.approx(0.75)
    assert np.trapezoid(true, false) == pytest.approx(0.75)
    assert pooled_roc([(score, case, case * 0)]) is None


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_every_figure_is_a_png_of_300_dpi_an_svg_and_a_pdf(studies, kind):
    results, out, _ = studies[kind]
    for picture in shown(results):
        assert (out / picture.file).exists()
        assert picture.caption in (out / "report.md").read_text()
    for file in out.glob("*.png"):
        with Image.open(file) as image:
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert file.with_suffix(".svg").read_text().lstrip().startswith("<?xml")
        assert file.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    assert (out / "time_dependent_roc.png").exists() == (kind == "survival")


def test_long_names_are_not_cut(studies):
    _, out, _ = studies["subtype"]
    text = (out / "features.svg").read_text()
    for part in LONG.split("_"):
        assert part in text


def test_the_numbers_at_risk_are_counted(studies):
    results, _, table = studies["survival"]
    figure = Figure()
    high = above_threshold(results.validation.models["radiomics"])
    draw_curves(figure, results, high)
    upper, below = figure.axes
    texts = [(t.get_position()[0], t.get_text()) for t in below.texts]
    for tick in upper.get_xticks():
        at = [int(text) for x, text in texts if x == tick and text.isdigit()]
        time = table["time"].to_numpy()
        assert at == [(time[high] >= tick).sum(), (time[~high] >= tick).sum()]
    assert upper.get_xlabel() == "time (months)"
    labels = [text.get_text() for text in upper.get_legend().get_texts()]
    events = table["event"].to_numpy()
    assert labels[0] == f"high risk: n = {high.sum()}, {events[high].sum()} events"


@pytest.mark.parametrize("kind", ["subtype", "survival"])
def test_the_spread_of_predictions_follows_from_the_file(studies, kind):
    results, out, _ = studies[kind]
    rows = pd.read_csv(out / "predictions.csv").query("model == 'radiomics'")
    risk = rows["score"] if kind == "subtype" else 1 - rows["event_free_at_9"]
    by_patient = risk.groupby(rows["id"])
    expected = by_patient.apply(lambda values: (values - values.mean()).abs().mean())
    np.testing.assert_allclose(spreads(risks(results, "radiomics")), expected, atol=1e-12)
    above = (rows["score"] >= rows["threshold"]).groupby(rows["id"]).nunique() == 2
    assert changing(results, "radiomics") == pytest.approx(above.mean())
    section = stability_section(results)
    assert section.rows[0][1] == f"{expected.mean():.3f}"


def test_a_subgroup_is_measured_within_itself(studies):
    """The AUC of pairs inside a subgroup and a fold, from predictions.csv."""
    from sklearn.metrics import roc_auc_score

    results, out, table = studies["subtype"]
    women = (table["sex"] == "f").to_numpy()
    found = subgroup_estimate(results, Subgroup("sex", "f", women))
    rows = pd.read_csv(out / "predictions.csv").query("model == 'radiomics'")
    rows = rows[rows["id"].isin(table.index[women])]
    parts = []
    for _, fold in rows.groupby(["repeat", "fold"]):
        count = fold["outcome"].sum() * (1 - fold["outcome"]).sum()
        if count:
            parts.append((roc_auc_score(fold["outcome"], fold["score"]) * count, count))
    concordant, total = np.sum(parts, axis=0)
    assert found.value == pytest.approx(concordant / total)
    assert found.low < found.value < found.high
    report = (out / "report.md").read_text()
    assert f"| sex | f | {women.sum()} | " in report
    assert f"| sex | missing | {(table['sex'] == '').sum()} | " in report


def test_columns_become_subgroups():
    ages = pd.Series([str(a) for a in range(40, 61)])
    halves = subgroups_of("age", ages)
    assert [(each.level, int(each.rows.sum())) for each in halves] == [
        ("up to 50", 11),
        ("above 50", 10),
    ]
    for cells, line in (
        (["f"] * 9, "is 'f' in every row"),
        (["=1+1", "b"], "values: 1 of 2 begin like formulas"),
        ([""] * 9, "is empty"),
        ([f"x{i}" for i in range(9)], "9 different texts"),
    ):
        with pytest.raises(ValueError, match=line):
            subgroups_of("sex", pd.Series(cells))


def test_a_subgroup_that_no_table_has_is_refused(studies):
    _, out, _ = studies["subtype"]
    paths = out.parent / "f.csv", out.parent / "c.csv"
    with pytest.raises(ValueError, match="has a column 'smoker'"):
        fit_model(*paths, label="class", positive="high", subgroup="smoker", **QUICK)


def test_a_small_subgroup_gets_no_value(studies):
    results, _, _ = studies["subtype"]
    few = np.arange(N) < 6
    assert subgroup_estimate(results, Subgroup("a", "b", few)) is None


def test_a_leak_hides_the_figures_of_performance(studies):
    from dataclasses import replace

    from pancseg.modelling.validation.canary import Canary

    results, _, _ = studies["subtype"]
    sings = Canary("noise", (0.9, 0.91, 0.92), 0.91, 0.85)
    assert sings.sings
    drawn = pictures(replace(results, canaries=[sings]))
    assert set(drawn) == {"features.png", "features.svg", "features.pdf"}
    with Image.open(io.BytesIO(drawn["features.png"])) as image:
        assert image.size[0] > 1500


def test_both_ends_of_a_variable_are_labelled():
    """The smallest and largest value used to have no label where they were no round numbers."""
    scale = Scale("age", 21.3, 79.8, 0.05)
    found = Nomogram((scale,), scale.effect / 100, 0.0)
    places = _values(found, scale)
    assert places[0] == (0.0, "21.3")
    assert places[-1] == (pytest.approx(100.0), "79.8")
    assert [text for _, text in places[1:-1]]
    falling = _values(found, scale._replace(per_unit=-0.05))
    assert (falling[0][1], falling[-1][1]) == ("79.8", "21.3")
    short = scale._replace(per_unit=0.0005)
    assert [text for _, text in _values(found, short)] == ["21.3", "79.8"]


def test_a_model_has_one_colour_whatever_stands_beside_it():
    styles = [style_of(name) for name in ("radiomics", "volume only", "clinical only")]
    assert len(set(styles)) == 3
    results = SimpleNamespace(
        horizons=(),
        decision=pd.DataFrame(
            [
                (name, at, gain, gain - 0.1, gain + 0.3)
                for name in ("radiomics", "clinical only", "all")
                for at, gain in ((0.1, 0.2), (0.5, 0.05))
            ],
            columns=["model", "threshold", "net_benefit", "low_95", "high_95"],
        ),
    )
    axes = Figure().add_subplot()
    _decision(axes, results)
    colours = {line.get_label(): line.get_color() for line in axes.get_lines()}
    assert colours["clinical only"] == style_of("clinical only")[0]
    low, high = axes.get_ylim()
    assert low <= -0.05
    assert high >= 0.5


def test_panels_of_a_horizon_have_the_same_limits(studies):
    results, _, _ = studies["survival"]
    curves = [
        curve
        for found in results.calibration.values()
        for time, curve in found.curves.items()
        if time == results.horizons[0]
    ]
    top = _highest(curves)
    assert 0 < top <= 1
    for curve in curves:
        assert top >= min(1, np.nanmax(curve.high))
        assert top >= min(1, curve.risk.max())
        axes = Figure().add_subplot()
        _calibration(axes, "title", curve, top)
        assert axes.get_xlim() == axes.get_ylim() == (0, top)
