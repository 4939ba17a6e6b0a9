"""The option --imputations: bad values, notes, the saved files, and what reports say of it."""

import json
import math
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from command_line import call
from imputed_study import NAMES, study
from safetensors.numpy import load, save

from pancseg import fit_model
from pancseg.modelling.checked_tables import check_tables
from pancseg.modelling.cross_validation.fitted_models import fit_specs
from pancseg.modelling.cross_validation.folds import outer_parts
from pancseg.modelling.estimators.chained import Chained
from pancseg.modelling.fit import plan_study
from pancseg.modelling.inputs.features_table import TableOptions
from pancseg.modelling.outputs.final_model import _training_facts
from pancseg.modelling.plain.from_fitted import plain_model
from pancseg.modelling.predict import predictions
from pancseg.modelling.report.checklists import tripod_items
from pancseg.modelling.report.clear_checklist import clear_items
from pancseg.modelling.report.external.case_mix import values_of
from pancseg.modelling.report.methods.models import _gaps
from pancseg.modelling.report.model_numbers import coefficient_table, model_json
from pancseg.modelling.report.study_facts import StudyFacts, filled_by
from pancseg.modelling.saved_model import SavedModel, helping_features, model_bytes, read_model
from pancseg.modelling.settings import MOST_IMPUTATIONS, ModelSettings


@pytest.fixture
def tables(tmp_path):
    """Features and outcomes of 60 patients, with gaps that a test may add."""
    random = np.random.default_rng(0)
    ids = pd.Index([f"P{n:02d}" for n in range(60)], name="id")
    x = random.normal(size=(60, 4)) + random.normal(size=(60, 1))
    features = pd.DataFrame(x, ids, [*"abc", "volume_ml"])
    clinical = pd.DataFrame({"age": random.normal(60, 9, 60), "sex": ["m", "f"] * 30}, ids)
    clinical["grade"] = np.where(x[:, 0] + random.logistic(size=60) > 0, "high", "low")
    return features, clinical, tmp_path


def planned(tables, imputations=5, clinical=("age", "sex")):
    features, outcome, folder = tables
    features.to_csv(folder / "f.csv")
    outcome.to_csv(folder / "c.csv")
    settings = ModelSettings(
        kind="subtype", imputations=imputations, folds=3, inner_folds=2, repeats=1, canary=0
    )
    options = TableOptions(clinical=tuple(clinical))
    return plan_study(
        check_tables(folder / "f.csv", folder / "c.csv", ("grade",), settings, options)
    )


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (0, "0 is no number of imputations; give 1 for medians, or 2 to 20"),
        (-3, "-3 is no number of imputations"),
        (21, "21 imputations; give 20 or fewer: more hardly change the average"),
        (1.5, "imputations: Input should be a valid integer"),
        ("many", "imputations: Input should be a valid integer"),
    ],
)
def test_a_number_of_imputations_that_makes_no_sense_is_refused(tmp_path, given, line):
    with pytest.raises(ValueError, match=line):
        fit_model("f.csv", "c.csv", label="grade", imputations=given)
    command = ["model", "subtype", "f.csv", "--outcome", "c.csv", "--label", "grade"]
    code, _, told = call(*command, "--out", tmp_path / "out", "--imputations", str(given))
    assert code == 2
    words = "integer" if "integer" in line else line.split(";")[0]
    assert words in " ".join(told.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_without_gaps_a_note_says_that_the_option_changes_nothing(tables):
    found = planned(tables)
    assert "`imputations` changes nothing: no number is missing." in found.joined.notes
    assert not any("imputations" in note for note in planned(tables, 1).joined.notes)
    assert found.steps == planned(tables, 1).steps


def test_texts_alone_are_not_imputed(tables):
    tables[1].loc["P00":"P09", "sex"] = ""
    found = planned(tables)
    assert "`imputations` changes nothing: no column of numbers can be imputed." in (
        found.joined.notes
    )
    assert found.missing["filled_with"].tolist() == ["a level of its own"]
    assert found.steps == planned(tables, 1).steps


def test_few_missing_texts_stay_shares_and_are_never_two_levels_at_once(tables):
    tables[1].loc["P00":"P02", "sex"] = ""
    tables[1].loc["P10":"P29", "age"] = np.nan
    found = planned(tables)
    how = dict(zip(found.missing["column"], found.missing["filled_with"], strict=True))
    assert how == {"age": "5 imputations", "sex": "shares of the levels"}
    block = found.plan.blocks["clinical only"]
    steps = block.preparation.fit(block.x, found.plan.y)
    filled = steps.named_steps["impute"]
    assert [block.names[j] for j in filled.equations_.target] == ["age"]
    assert filled.statistics_[block.names.index("sex=m")] == pytest.approx(29 / 57, abs=0.02)


def test_a_column_that_most_patients_lack_is_told(tables):
    tables[1].loc["P00":"P38", "age"] = np.nan
    notes = planned(tables).joined.notes
    said = "'age' is imputed in 65 % of the patients: what it says rests on the few who have it."
    assert said in notes
    assert said not in planned(tables, 1).joined.notes


def test_a_column_that_nobody_or_hardly_anybody_has_is_no_hindrance(tables):
    tables[1]["age"] = np.nan
    tables[1]["lab"] = [*range(8), *[np.nan] * 52]
    tables[0].loc["P00":"P09", "a"] = np.nan
    found = planned(tables, clinical=("age", "lab", "sex"))
    how = dict(zip(found.missing["column"], found.missing["filled_with"], strict=True))
    assert how["lab"] == "median"
    assert how["a"] == "5 imputations"
    specs = [spec for spec in found.plan.specs if spec.name == "clinical only"]
    fitted = fit_specs(replace(found.plan, specs=specs), np.arange(60), 0)
    assert np.isfinite(fitted["clinical only"].weights).all()


def test_the_report_counts_as_much_work_as_without_imputation(tables):
    tables[0].loc["P00":"P09", "a"] = np.nan
    one, five = planned(tables, 1).steps, planned(tables).steps
    assert five[:-1] == one[:-1]
    assert five[-1] == one[-1] / 5


FACTS = {
    "origin": {
        "features": list(NAMES), "settings": None, "region": None, "volume": None, "group": None,
        "levels": {"a": [], "b": [], "c": []}, "grids": [],
    },
    "batches": None, "batch_column": None, "exclude_warn": False, "outcome": ["grade"],
    "classes": ["low", "high"], "others": ["low"], "event_is": None, "times": [], "patients": 90,
    "made_by": "pancseg 1, numpy 2", "median_time": None, "row_columns": [], "salt": "",
    "competing": [],
}  # fmt: skip


@cache
def saved(imputations=3, batch=False):
    """The study, its plain models, and a saved model of them."""
    plan = study("subtype", "elastic-net", batch=batch, imputations=imputations)
    plan = replace(plan, specs=[s for s in plan.specs if s.name != "both"])
    names = {name: block.names for name, block in plan.blocks.items()}
    models = {k: plain_model(m, names) for k, m in fit_specs(plan, np.arange(90), 0).items()}
    facts = FACTS | ({"batches": ["A", "B"], "batch_column": "site"} if batch else {})
    return plan, SavedModel("subtype", models, facts)


def frames_of(plan, batch=False):
    block = plan.blocks["radiomics"]
    return {
        "radiomics": pd.DataFrame(block.x[:, int(batch) :], columns=list(NAMES)),
        "clinical only": pd.DataFrame(plan.blocks["clinical only"].x, columns=list("abc")),
    }


@pytest.mark.parametrize("batch", [False, True])
def test_a_saved_file_predicts_bit_for_bit(batch):
    plan, model = saved(batch=batch)
    content = model_bytes(model)
    read = read_model(content)
    assert model_bytes(read) == content
    codes = plan.blocks["radiomics"].x[:, 0].astype(np.int64) if batch else None
    for name, each in model.models.items():
        x = each.prepared(frames_of(plan, batch), codes, 90)
        np.testing.assert_array_equal(
            read.models[name].prepared(frames_of(plan, batch), codes, 90), x
        )


def header_of(content):
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["pancseg_model"])


def test_a_model_of_medians_is_written_in_the_format_before():
    assert header_of(model_bytes(saved(1)[1]))["format"] == 5
    assert "beside" not in json.dumps(header_of(model_bytes(saved(1)[1])))
    assert header_of(model_bytes(saved()[1]))["format"] == 6


@pytest.mark.parametrize(
    ("array", "value", "line"),
    [
        ("equations.coefficients", np.nan, "coefficients contains values that are not finite"),
        ("equations.predictors", 99, "predictors contains numbers from 0"),
        ("equations.target", -1, "target contains numbers from -1"),
        ("equations.least", 1e9, "least contains values above those of most"),
        ("high", -1e300, "low contains values above those of high"),
    ],
)
def test_forged_equations_are_refused(array, value, line):
    content = model_bytes(saved()[1])
    arrays, about = load(content), header_of(content)
    arrays[f"0.0.imputation.{array}"].flat[0] = value
    with pytest.raises(ValueError, match=f"the model cannot be used: {line}.*; fit it again"):
        read_model(save(arrays, metadata={"pancseg_model": json.dumps(about)}))


def by_model_json(model, patient):
    """Log odds of a patient, by what model.json says."""
    value, start = {}, {}
    (part,) = model["missing_values"]["parts"]
    for column in (*model["columns"], *part["other_columns"]):
        name = column["name"]
        low, high = column["lowest"] or -math.inf, column["highest"] or math.inf
        value[name] = min(max(patient[name], low), high) if patient[name] == patient[name] else None
        start[name] = column["if_missing"]
    gaps = {name for name, each in value.items() if each is None}
    value |= {name: start[name] for name in gaps}
    for _ in range(200):
        for each in part["equations"]:
            if each["name"] in gaps:
                total = each["intercept"]
                total += sum(b * value[name] for name, b in each["coefficients"].items())
                value[each["name"]] = min(max(total, each["least"]), each["most"])
    terms = (c["coefficient"] * (value[c["name"]] - c["mean"]) / c["sd"] for c in model["columns"])
    return model["intercept"] + sum(terms)


@pytest.mark.parametrize("name", ["radiomics", "clinical only"])
def test_predictions_follow_from_model_json(name):
    plan, model = saved()
    content = json.loads(model_json(model, {}))
    assert content["format"] == 2
    frame = frames_of(plan)[name]
    each = model.models[name]
    log_odds = [by_model_json(content["models"][name], row) for _, row in frame.iterrows()]
    score = each.predictor.score(each.prepared(frames_of(plan), None, 90))
    np.testing.assert_allclose(1 / (1 + np.exp(-np.array(log_odds))), score, atol=1e-7)


def test_the_table_of_coefficients_leaves_open_what_an_equation_decides():
    _, model = saved()
    terms = coefficient_table(model.models).set_index(["model", "variable"])["if_missing"]
    assert terms[("clinical only", "a")] != terms[("clinical only", "a")]
    assert terms[("clinical only", "c")] == terms[("clinical only", "c")]
    assert json.loads(model_json(saved(1)[1], {}))["format"] == 1


def test_a_patient_who_lacks_everything_gets_no_prediction_and_helpers_may_be_absent():
    plan, model = saved()
    frames = frames_of(plan)
    used = {n for m in model.models.values() for p in m.parts if p.block == "radiomics"
            for n in p.names}  # fmt: skip
    helping = [name for name in helping_features(model.models) if name not in used]
    features = frames["radiomics"].drop(columns=helping)
    features.iloc[0] = np.nan
    joined = SimpleNamespace(
        features=features, volume=pd.DataFrame(index=features.index), new_levels=frozenset(),
        clinical=frames["clinical only"], unusable=(), batch=None,
    )  # fmt: skip
    table, notes = predictions(model, joined)
    assert np.isnan(table["radiomics"][0])
    assert np.isfinite(table["radiomics"][1:]).all()
    assert np.isfinite(table["clinical_only"]).sum() > 80
    assert any("estimated from the patient's other values by its equations" in n for n in notes)
    radiomics = model.models["radiomics"]
    weighed = [n for n, w in zip(radiomics.columns, radiomics.weights, strict=True) if w]
    gaps = features[weighed].isna()
    nothing, some = gaps.all(axis=1), gaps.any(axis=1) & ~gaps.all(axis=1)
    assert nothing.sum() >= 1
    assert some.sum() >= 10
    told = f"radiomics: {some.sum()} of 90 patients lack some of the values that it uses; these"
    assert any(n.startswith(told) for n in notes)
    told = f"radiomics: {nothing.sum()} of 90 patients lack all values that it uses and get"
    assert any(n.startswith(told) for n in notes)
    assert any("by which missing values of others are estimated" in n for n in notes) == bool(
        helping
    )


def test_columns_that_only_help_to_impute_are_compared_with_the_training_too():
    plan, model = saved()
    frames = frames_of(plan)
    clinical = model.models["clinical only"]
    (part,) = clinical.parts
    assert set(part.names) == {"a", "b", "c"}
    kept = replace(part.scaling, **{k: v[:2] for k, v in vars(part.scaling).items()})
    part = replace(part, names=part.names[:2], scaling=kept, beside=part.names[2:])
    less = replace(
        clinical,
        parts=(part,),
        weights=clinical.weights[:2],
        predictor=replace(clinical.predictor, coefficients=clinical.predictor.coefficients[:2]),
    )
    helper = part.beside[0]
    model = replace(model, models={"clinical only": less})
    np.testing.assert_array_equal(values_of(model, frames)[helper], frames["clinical only"][helper])
    results = SimpleNamespace(horizons=(), settings=SimpleNamespace(kind="subtype"), measures={})
    joined = SimpleNamespace(
        features=frames["radiomics"], volume=pd.DataFrame(), clinical=frames["clinical only"],
        batch=None,
    )  # fmt: skip
    low, high = _training_facts(results, joined, model.models)["ranges"][helper]
    known = frames["clinical only"][helper]
    assert (low, high) == (known.min(), known.max())


def test_checklists_say_what_was_done():
    facts = StudyFacts(
        survival=False, shown=True, compared=True, tested=True, clinical=("age",), volume=True,
        features=40, missing=12, incomplete=3, linear=True, candidates=6, stability=False,
        batch=False, subgroups=False, sites=False, folds="nested cross-validation", samples=25,
        inner=5, resamples=1000, repeats=5, model="elastic-net", seed=0, imputations=10,
    )  # fmt: skip
    for items, number in ((clear_items, "29"), (tripod_items, "11")):
        found = {item.item.split(".")[0]: item.note for item in items(facts)}
        assert "numbers in training rows imputed 10 times by chained equations" in found[number]
        plain = {i.item.split(".")[0]: i.note for i in items(replace(facts, imputations=1))}
        assert "imputed" not in plain[number]
    assert "expected value given the patient's other values" in filled_by(10)
    assert "fewer than 10 had it or all were alike, by the median" in filled_by(10)
    assert "where no other column helps, the mean" in filled_by(10)
    assert "27a" in {item.item.split(".")[0] for item in tripod_items(facts)}


def test_what_fills_a_gap_is_what_the_sentence_says():
    """A median without an equation, and the mean where an equation has no column to go by."""
    random = np.random.default_rng(3)
    few = np.where(np.arange(60) < 8, random.exponential(size=60), np.nan)
    alike = np.where(np.arange(60) < 30, 4.0, np.nan)
    alone = np.where(np.arange(60) < 40, random.exponential(size=60), np.nan)
    steps = Chained(2).fit(np.column_stack([few, alike, alone]), np.arange(60) % 2)
    filled = steps.transform(np.full((1, 3), np.nan))[0]
    assert filled[:2] == pytest.approx([np.nanmedian(few), 4.0])
    assert filled[2] == pytest.approx(np.nanmean(alone))


@pytest.mark.parametrize(
    ("kind", "model", "words"),
    [
        ("subtype", "elastic-net", ["(the class)", "averaged (their coefficients)"]),
        ("subtype", "random-forest", ["averaged (their trees)"]),
        ("subtype", "gradient-boosting", ["averaged (their log odds)"]),
        ("survival", "elastic-net", ["(the event and the cumulative hazard)",
                                     "coefficients and log cumulative hazards"]),
    ],
)  # fmt: skip
def test_the_methods_say_how_values_were_imputed_if_they_were(tables, kind, model, words):
    whole = planned(tables).joined
    gaps = replace(whole, features=whole.features.mask(whole.features > 1.0))
    settings = ModelSettings(kind=kind, model=model, imputations=5)
    text = _gaps(SimpleNamespace(settings=settings), gaps)
    for word in ["in 5 tables by chained equations", "missing at random", *words]:
        assert word in text
    texts = " Texts that 5 patients or more lack had a level `missing`; missing ones of others"
    assert texts in text
    assert "ComBat" not in text
    sited = replace(gaps, batch=np.array(["A", "B"] * 30))
    assert "ComBat, redundancy and scaling" in _gaps(SimpleNamespace(settings=settings), sited)
    for other in (_gaps(SimpleNamespace(settings=settings), whole),
                  _gaps(SimpleNamespace(settings=ModelSettings(kind=kind)), gaps)):  # fmt: skip
        assert other.startswith("Missing values were replaced by the median")


def test_the_option_is_explained_where_it_is_offered():
    code, text, _ = call("model", "subtype", "--help")
    assert code == 0
    assert "--imputations" in text
    assert MOST_IMPUTATIONS == 20


def test_models_whose_training_rows_are_too_few_for_an_equation_are_told(tables):
    """Before: "5 imputations", although no fold had ten patients with the column."""
    tables[1].loc["P11":, "age"] = np.nan
    found = planned(tables)
    known = [int(found.joined.clinical["age"].iloc[rows].notna().sum()) for rows in parts(found)]
    few = sum(each < 10 for each in known)
    assert few > 0
    assert found.missing["filled_with"].tolist() == [
        f"5 imputations, median in {few} of 3 outer models"
    ]
    assert not any("changes nothing" in note for note in found.joined.notes)
    assert any(note.startswith("'age' is imputed in 82 %") for note in found.joined.notes)
    tables[1].loc["P09":, "age"] = np.nan
    assert planned(tables).missing["filled_with"].tolist() == ["median"]


def test_models_whose_training_rows_have_one_value_alone_are_told(tables):
    tables[1]["age"] = 50.0
    tables[1].loc["P00", "age"] = 70.0
    tables[1].loc["P40":, "age"] = np.nan
    assert planned(tables).missing["filled_with"].tolist() == [
        "5 imputations, median in 1 of 3 outer models"
    ]


def parts(found):
    return list(outer_parts(found.plan))
