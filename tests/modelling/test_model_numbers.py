"""The saved model as numbers: predictions follow from model.json, or the tables, alone."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pancseg import fit_model, load_model, predict
from pancseg.modelling.report.formula import _equation

QUICK = {"folds": 3, "inner_folds": 2, "repeats": 1, "canary": 0, "workers": 1}
N = 80


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    random = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("numbers")
    x = random.normal(size=(N, 5)) * [1, 20, 0.01, 3, 1] + [0, 100, 0.5, -4, 0]
    ids = [f"P{i:02d}" for i in range(N)]
    features = pd.DataFrame(x, columns=["a", "b", "c", "d", "volume_ml"], index=pd.Index(ids))
    features = features.rename_axis("id")
    features.loc[ids[3:9], "a"] = np.nan
    features.loc[ids[10], "b"] = 1e7  # a typing error, which the model moves to its limit
    features.to_csv(folder / "features.csv")
    risk = np.nan_to_num(features["a"]) + (x[:, 1] - 100) / 20
    time = random.exponential(20 * np.exp(-risk)).round(2) + 0.01
    clinical = pd.DataFrame({"id": ids, "time": np.minimum(time, 40), "died": time < 40})
    clinical["class"] = np.where(risk + random.logistic(size=N) > 0, "high", "low")
    clinical["stage"] = random.choice(["I", "II", "III"], N)
    clinical["age"] = random.normal(65, 9, N).round()
    clinical.loc[2, "age"] = np.nan
    clinical["site"] = random.choice(["north", "south"], N)
    clinical.to_csv(folder / "clinical.csv", index=False)
    return folder


def fitted(tables, name, **options):
    out = tables / name
    if not out.exists():
        paths = tables / "features.csv", tables / "clinical.csv"
        fit_model(*paths, out, clinical=["stage", "age"], **options, **QUICK)
    table = predict(out, tables / "features.csv", tables / "clinical.csv").table.set_index("id")
    values = pd.read_csv(tables / "features.csv", index_col="id")
    return out, table, values.join(pd.read_csv(tables / "clinical.csv", index_col="id"))


SUBTYPE = {"label": "class", "positive": "high"}
SURVIVAL = {"time": "time", "event": "died", "horizons": [10, 5], "time_unit": "months"}


def value_of(patient, name):
    """A column of the tables, or the indicator of a level."""
    if "=" in name:
        variable, level = name.split("=")
        return float(patient[variable] == level)
    return patient[name]


def by_hand(model, patient, site=None):
    total = model.get("intercept", 0.0)
    for column in model["columns"]:
        value = value_of(patient, column["name"])
        value = column["if_missing"] if math.isnan(value) else value
        if column["lowest"] is not None:
            value = min(max(value, column["lowest"]), column["highest"])
        if "site_effects" in column:
            effects = column["site_effects"]
            own = effects["sites"][site]
            z = (value - effects["mean"]) / effects["scale"]
            value = (z - own["shift"]) / own["spread"] * effects["scale"] + effects["mean"]
        total += column["coefficient"] * (value - column["mean"]) / column["sd"]
    return total


def curve_at(times, event_free, time):
    return ([1.0, *event_free])[sum(t <= time for t in times)]


@pytest.mark.parametrize("name", ["radiomics", "clinical only", "clinical + radiomics"])
def test_a_class_follows_from_model_json_alone(tables, name):
    out, table, values = fitted(tables, "subtype", **SUBTYPE)
    model = json.loads((out / "model.json").read_text())["models"][name]
    found = [1 / (1 + math.exp(-by_hand(model, row))) for _, row in values.iterrows()]
    expected = table[name.replace(" + ", "_and_").replace(" ", "_")]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.ptp(found) > 0.2


@pytest.mark.parametrize("name", ["radiomics", "volume only", "clinical + radiomics"])
def test_survival_follows_from_model_json_alone(tables, name):
    out, table, values = fitted(tables, "survival", **SURVIVAL)
    content = json.loads((out / "model.json").read_text())
    assert (content["time_unit"], content["horizons"]) == ("months", [5.0, 10.0])
    model = content["models"][name]
    column = name.replace(" + ", "_and_").replace(" ", "_")
    scores = np.array([by_hand(model, row) for _, row in values.iterrows()])
    np.testing.assert_allclose(scores, table[column], rtol=0, atol=1e-12)
    for horizon in (5, 10):
        base = curve_at(model["baseline"]["times"], model["baseline"]["event_free"], horizon)
        found = base ** np.exp(scores)
        at = table[f"{column}_event_free_at_{horizon}"]
        np.testing.assert_allclose(found, at, rtol=0, atol=1e-12)
        assert np.ptp(found) > 0.01


def test_removal_of_site_effects_follows_from_model_json(tables):
    out, table, values = fitted(tables, "combat", batch="site", **SUBTYPE)
    model = json.loads((out / "model.json").read_text())["models"]["radiomics"]
    assert set(model["columns"][0]["site_effects"]["sites"]) == {"north", "south"}
    found = [1 / (1 + math.exp(-by_hand(model, row, row["site"]))) for _, row in values.iterrows()]
    np.testing.assert_allclose(found, table["radiomics"], rtol=0, atol=1e-12)
    assert not (out / "nomogram.png").exists()


def test_predictions_follow_from_the_two_tables(tables):
    """From coefficients.csv and baseline_survival.csv, as in a spreadsheet: per unit."""
    out, table, values = fitted(tables, "survival", **SURVIVAL)
    terms = pd.read_csv(out / "coefficients.csv").query("model == 'clinical + radiomics'")
    total = np.zeros(N)
    for term in terms.itertuples():
        x = np.array([value_of(row, term.variable) for _, row in values.iterrows()])
        x = np.where(np.isnan(x), term.if_missing, x)
        if not np.isnan(term.lowest):
            x = np.clip(x, term.lowest, term.highest)
        total += term.coefficient_per_unit * (x - term.mean)
    np.testing.assert_allclose(total, table["clinical_and_radiomics"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(terms["ratio_per_sd"], np.exp(terms["coefficient"]))
    curve = pd.read_csv(out / "baseline_survival.csv").query("model == 'clinical + radiomics'")
    at_10 = curve_at(list(curve["time"]), list(curve["event_free"]), 10) ** np.exp(total)
    np.testing.assert_allclose(at_10, table["clinical_and_radiomics_event_free_at_10"], atol=1e-12)


def test_the_report_writes_the_formula_and_the_candidate(tables):
    out, _, _ = fitted(tables, "subtype", **SUBTYPE)
    report = (out / "report.md").read_text()
    assert "## The model as a formula: clinical + radiomics" in report
    content = json.loads((out / "model.json").read_text())["models"]["radiomics"]
    alike = content["chosen_in_folds"].get(content["chosen"], 0)
    setting = f"{content['chosen']}; the same as in {alike} of 3 outer models."
    assert f"Setting chosen for the saved model: {setting}" in report
    assert sum(content["chosen_in_folds"].values()) == 3
    strongest = max(content["columns"], key=lambda each: abs(each["coefficient"]))
    row = next(line for line in report.splitlines() if line.startswith(f"| {strongest['name']} |"))
    assert float(row.split("|")[2].replace("−", "-")) == pytest.approx(
        strongest["coefficient"], rel=1e-3
    )


def test_a_class_called_1_is_no_number_in_the_formula(tables):
    out, _, _ = fitted(tables, "subtype", **SUBTYPE)
    saved = load_model(out)
    (text,) = _equation(saved.models["radiomics"], saved)
    assert "Log odds of high = " in text
    saved = replace(saved, facts={**saved.facts, "classes": ["0", "1"]})
    (text,) = _equation(saved.models["radiomics"], saved)
    assert "Log odds of class 1 = " in text
    assert text.endswith(" on, class 1 is predicted.")


def test_a_model_of_trees_has_no_formula(tables):
    out, _, _ = fitted(tables, "trees", model="random-forest", **SUBTYPE)
    model = json.loads((out / "model.json").read_text())["models"]["radiomics"]
    assert model["note"] == "trees; see model.safetensors"
    assert "coefficient" not in model["columns"][0]
    report = (out / "report.md").read_text()
    assert "It consists of trees. There is no formula" in report
    assert not (out / "nomogram.png").exists()


def test_points_of_the_nomogram_give_the_prediction(tables):
    from scipy.special import logit

    from pancseg import load_model
    from pancseg.modelling.report.nomogram import nomogram_of

    out, table, values = fitted(tables, "subtype", **SUBTYPE)
    model = load_model(out).models["radiomics"]
    found = nomogram_of(model, {"radiomics": values})
    used = {column.name for column in found.scales}
    assert max(scale.effect for scale in found.scales) / found.per_point == pytest.approx(100)
    row = values.dropna().iloc[0]
    points = sum(found.points(scale, row[scale.name]) for scale in found.scales)
    weights = model.predictor.coefficients
    assert used == {name for name, w in zip(model.columns, weights, strict=True) if w}
    expected = logit(table.loc[row.name, "radiomics"])
    assert found.at_zero + points * found.per_point == pytest.approx(expected)


def test_a_nomogram_that_cannot_be_drawn_is_left_out(tables):
    from dataclasses import replace

    from pancseg import load_model
    from pancseg.modelling.report.nomogram import nomogram_of

    out, _, values = fitted(tables, "subtype", **SUBTYPE)
    model = load_model(out).models["radiomics"]
    nothing = replace(model.predictor, coefficients=np.zeros(len(model.columns)))
    assert nomogram_of(replace(model, predictor=nothing), {"radiomics": values}) is None


def test_the_model_card_names_what_the_model_needs(tables):
    out, _, _ = fitted(tables, "survival", **SURVIVAL)
    card = (out / "MODEL.md").read_text()
    for text in (
        "the probability of being event-free",
        "| clinical variable | stage (I, II, III) |",
        f"{N} patients; ",
        "not a medical device",
        "has not been tested on other patients",
    ):
        assert text in card
    report = (out / "report.md").read_text()
    assert "P10: b 1e+07" in report
    assert "P10" not in card


@pytest.mark.parametrize(
    ("horizons", "line"),
    [
        ([50], "50 is not within the follow-up"),
        ([0.001], "0.001 is not within the follow-up; the first event is at"),
    ],
)
def test_horizons_outside_the_follow_up_are_refused(tables, horizons, line):
    paths = tables / "features.csv", tables / "clinical.csv"
    with pytest.raises(ValueError, match=line):
        fit_model(*paths, **(SURVIVAL | {"horizons": horizons}), **QUICK)
