"""Values of two files are compared as what they are; what is no feature is refused in one line."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pancseg import fit_model, load_model, predict
from pancseg.cli import app
from pancseg.modelling.inputs.clinical import clinical_levels, clinical_numbers
from pancseg.modelling.inputs.features_table import TableOptions, read_features
from pancseg.modelling.inputs.join import join
from pancseg.modelling.inputs.outcome_coding import class_codes, event_codes
from pancseg.modelling.inputs.spelling import meaning, one_spelling, spelt_like

SHORT = {"folds": 3, "inner_folds": 2, "repeats": 1, "canary": 0, "workers": 1}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"), ("1", "TRUE"), ("True", "TRUE"), ("true", "1.00"), ("0", "False"),
        ("1,5", "1.50"), ("-0", "0"), ("007", "7"), ("+2", "2"), ("Male", "male"),
    ],
)  # fmt: skip
def test_what_means_the_same(one, other):
    assert meaning(one) == meaning(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "10"), ("1", "-1"), ("1.5", "15"), ("0.1", "0.01"), ("1e3", "1000"), ("", "0"),
     ("1.2.3", "1.2"), (".", "0"), ("+", "-")],
)  # fmt: skip
def test_what_does_not(one, other):
    assert meaning(one) != meaning(other)


def test_numbers_without_end_keep_their_digits():
    assert meaning("90000000000000000001.0") == "90000000000000000001"
    assert meaning("90000000000000000001") != meaning("90000000000000000002")


def test_one_spelling_leaves_texts_alone():
    cells, several = one_spelling(pd.Series(["1", "1.0", "TRUE", "Yes", "yes", ""]))
    assert list(cells) == ["1", "1", "1", "Yes", "yes", ""]
    assert several == (("1", "1.0", "TRUE"),)


def test_of_two_known_texts_none_is_taken():
    assert list(spelt_like(pd.Series(["2.00", "1.0"]), ["2", "2.0", "1"])) == ["2.00", "1"]


@pytest.mark.parametrize(
    "cells", [["0", "1"], ["0.0", "1.0"], ["FALSE", "TRUE"], ["False", "True"]]
)
def test_classes_of_a_model_in_any_spelling(cells):
    for known in (("0", "1"), ("FALSE", "TRUE"), ("False", "True"), ("0.0", "1.0")):
        codes, _ = class_codes(pd.Series(cells), "s", known[1], known[:1])
        assert list(codes) == [0, 1]
    for positive in ("1", "1.0", "TRUE", "True"):
        assert list(class_codes(pd.Series(cells), "s", positive)[0]) == [0, 1]


def test_two_spellings_in_one_file_are_one_class():
    codes, names = class_codes(pd.Series(["1", "1.0", "0", "TRUE"]), "s", None)
    assert list(codes) == [1, 1, 0, 1]
    assert names == ("0", "1")
    assert list(event_codes(pd.Series(["TRUE", "0"]), "e", "1.0")) == [1, 0]


def test_classes_in_another_case_are_those_of_the_model():
    assert list(class_codes(pd.Series(["HIGH", "low"]), "s", "high", ("low",))[0]) == [1, 0]
    assert list(class_codes(pd.Series(["high", "low"]), "s", "High")[0]) == [1, 0]


def test_clinical_texts_across_files():
    assert clinical_levels(pd.Series(["TRUE", "1", "0.0", "False"]), "x") == ()
    assert list(clinical_numbers(pd.Series(["TRUE", "", "FALSE"]), "x", ())["x"].fillna(9)) == [
        1, 9, 0,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="1 of 2 values are text, such as 'TRUE'"):
        clinical_numbers(pd.Series(["TRUE", "65"]), "age", ())  # an age of 1?
    for cells in (["1", "0"], ["True", "False"], ["1.0", "0.0"]):
        found = clinical_numbers(pd.Series(cells), "x", ("FALSE", "TRUE"))
        assert list(found["x=TRUE"]) == [1, 0]
    assert list(clinical_numbers(pd.Series(["MALE"]), "sex", ("female", "male"))["sex=male"]) == [1]


def cohort(seed, n=60):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 12))
    ids = [f"P{i:03d}" for i in range(n)]
    table = pd.DataFrame(x, columns=[f"f{j}" for j in range(12)], index=pd.Index(ids, name="id"))
    y = (x[:, 0] + random.normal(size=n) > 0).astype(int)
    clinical = pd.DataFrame({"id": ids, "y": y, "smoker": random.integers(0, 2, n)})
    clinical["site"] = np.arange(n) % 2 + 1
    return table, clinical


def test_a_model_judges_a_file_that_spells_everything_otherwise(tmp_path):
    """Before: "the model was fitted without the class 'False', with '0', '1'"."""
    table, clinical = cohort(1)
    table.to_csv(tmp_path / "f.csv")
    clinical.to_csv(tmp_path / "c.csv", index=False)
    options = {"label": "y", "clinical": ["smoker"], "batch": "site"}
    fit_model(tmp_path / "f.csv", tmp_path / "c.csv", tmp_path / "out", **options, **SHORT)
    table, clinical = cohort(2)
    table.to_csv(tmp_path / "f.csv")
    clinical.to_csv(tmp_path / "c.csv", index=False)
    plain = predict(load_model(tmp_path / "out"), tmp_path / "f.csv", tmp_path / "c.csv")
    clinical["y"] = clinical["y"].map({0: "False", 1: "TRUE"})
    clinical["smoker"] = clinical["smoker"].map({0: "FALSE", 1: "True"})
    clinical["site"] = clinical["site"].astype(float)
    clinical.to_csv(tmp_path / "c.csv", index=False)
    assert "1.0" in (tmp_path / "c.csv").read_text()
    other = predict(load_model(tmp_path / "out"), tmp_path / "f.csv", tmp_path / "c.csv")
    assert other.measures == plain.measures
    assert plain.measures["radiomics"]["AUC"].value > 0.6
    pd.testing.assert_frame_equal(other.table, plain.table)


def test_a_site_in_two_spellings_is_one_and_told(tmp_path):
    table, clinical = cohort(1)
    table.to_csv(tmp_path / "f.csv")
    clinical["site"] = ["1", "1.0", "2"] * 20
    clinical.to_csv(tmp_path / "c.csv", index=False)
    options = TableOptions(batch="site", group="site")
    found = join(read_features(tmp_path / "f.csv", options), tmp_path / "c.csv", options, ("y",))
    assert sorted(set(found.batch)) == sorted(set(found.groups)) == ["1", "2"]
    assert "`batch`: '1' and '1.0' are the same value." in found.notes


def command(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_what_pyradiomics_writes_is_refused_in_one_line_with_what_to_type(tmp_path):
    """Its batch output has texts, 22 columns of diagnostics, and here the outcome as well."""
    table, clinical = cohort(1)
    table = table.rename(columns=lambda name: f"original_firstorder_{name}")
    for j in range(22):
        values = f"{{'minimum': {j}}}" if j % 2 else j
        table.insert(j, f"diagnostics_Mask-original_{j}", values)
    table.insert(0, "Image", [f"/data/MUELLER_{i}/ct.nii.gz" for i in range(60)])
    table.insert(1, "Mask file", [f"/data/MUELLER_{i}/mask.nii.gz" for i in range(60)])
    table["y"] = clinical["y"].to_numpy()
    table.to_csv(tmp_path / "f.csv")
    clinical.to_csv(tmp_path / "c.csv", index=False)
    words = ["model", "subtype", tmp_path / "f.csv", "--outcome", tmp_path / "c.csv"]
    words += ["--label", "y", "--out", tmp_path / "out", "--canary", 0, "--repeats", 1]
    words += ["--folds", 3, "--inner-folds", 2, "--workers", 1]
    refused = command(*words)
    assert refused.exit_code == 2
    drops = "--drop y --drop Image --drop 'Mask file'"
    assert refused.output == (
        "pancseg: the outcome 'y' is among the features, which is a leak; the feature table: 2 "
        f"columns hold text ('Image', 'Mask file'); leave them out with {drops}\n"
    )
    fitted = command(*words, "--drop", "y", "--drop", "Image", "--drop", "Mask file")
    assert fitted.exit_code == 0, fitted.output
    assert "22 columns diagnostics_…, which describe image, mask and settings" in fitted.output
    assert "12 candidate features" in (tmp_path / "out" / "report.md").read_text()


def test_a_typing_error_in_a_column_of_numbers_is_shown(tmp_path):
    table, _ = cohort(1)
    table = table.astype(object)
    table.iloc[3, 4] = "1.5O"
    table.to_csv(tmp_path / "f.csv")
    with pytest.raises(ValueError, match=r"'f4': 1 of 60 values are text, such as '1\.5O'"):
        read_features(tmp_path / "f.csv", TableOptions(), outcomes=("y",))


def test_features_and_outcome_in_one_table(tmp_path):
    table, _ = cohort(1)
    table["Months"], table["dead"] = np.arange(60), "yes"
    table.to_csv(tmp_path / "f.csv")
    line = (
        "the outcome 'Months', 'dead' are among the features, which is a leak; leave them out with "
        "`drop` Months `drop` dead"
    )
    with pytest.raises(ValueError, match=f"^{line}$"):
        read_features(tmp_path / "f.csv", TableOptions(), outcomes=("months", "dead"))
