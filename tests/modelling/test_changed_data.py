"""Gaps, outliers and unknown categories change a model as little as they can, and are told."""

import numpy as np
import pandas as pd
import pytest

from pancseg import fit_model, load_model, predict
from pancseg.modelling.estimators.fences import Filled, Winsorised, fences
from pancseg.modelling.estimators.preparation import plain_preparation, preparation
from pancseg.modelling.inputs.clinical import clinical_levels, clinical_numbers
from pancseg.modelling.inputs.features_table import TableOptions, read_features
from pancseg.modelling.inputs.gaps import missing_notes, missing_values, without_gaps
from pancseg.modelling.inputs.join import join
from pancseg.modelling.inputs.outliers import outlier_warnings, outliers

SHORT = {"folds": 5, "inner_folds": 3, "repeats": 1, "canary": 0, "workers": 1}


def write(folder, table, clinical):
    table.to_csv(folder / "f.csv")
    clinical.to_csv(folder / "c.csv")
    return folder / "f.csv", folder / "c.csv"


def joined(folder, table, clinical, **options):
    f, c = write(folder, table, clinical)
    options = TableOptions(**options)
    return join(read_features(f, options), c, options, ("y",))


def fit(folder, table, outcomes, **options):
    told = []
    f, c = write(folder, table, outcomes)
    found = fit_model(f, c, folder / "out", label="y", **options, **SHORT, report=told.append)
    return found, told


def cohort(seed, n=150, p=30, strength=1.5):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, p))
    ids = pd.Index([f"P{i:03d}" for i in range(n)], name="patient_id")
    table = pd.DataFrame(x, columns=[f"f{j:02d}" for j in range(p)], index=ids)
    y = (random.logistic(size=n) < strength * x[:, 0]).astype(int)
    return table, pd.DataFrame({"y": y}, index=ids), random


def test_fences_are_tukeys_and_leave_one_in_twenty_outside():
    normal = np.random.default_rng(0).normal(size=(200, 1))
    first, third = np.quantile(normal, [0.25, 0.75])
    low, high = fences(normal)
    assert low[0] == pytest.approx(first - 3 * (third - first))
    assert high[0] == pytest.approx(third + 3 * (third - first))
    zeros = np.concatenate([np.zeros(140), np.arange(60.0)])[:, None]  # quartiles 0 and 9.25
    assert fences(zeros)[1][0] == 50  # nine of 200 are larger, no more
    indicator = (np.arange(100) < 30).astype(float)[:, None]
    for rare in (indicator, (np.arange(100) < 8).astype(float)[:, None]):
        assert (Winsorised().fit(rare).transform(rare) == rare).all()
    for without in (np.full((9, 1), 2.0), np.full((9, 1), np.nan), np.empty((0, 1))):
        assert np.isinf(fences(without)).all()


@pytest.mark.parametrize("n", [10, 20, 41, 150])
def test_one_value_cannot_move_its_own_fence(n):
    x = np.random.default_rng(n).normal(size=(n, 1))
    x[0] = 1e7
    assert fences(x)[1][0] < 20
    x[1] = np.nan
    assert fences(x)[1][0] < 20


def test_gaps_are_filled_with_medians_and_shares():
    x = np.array([[1.0, 0, np.nan], [np.nan, 1, np.nan], [9.0, np.nan, np.nan], [2.0, 0, np.nan]])
    found = Filled().fit(x)
    assert list(found.statistics_) == [2.0, pytest.approx(1 / 3), 0.0]
    assert not np.isnan(found.transform(x)).any()


@pytest.mark.parametrize("batch", [False, True])
def test_an_outlier_changes_nobody_else(batch):
    """Before, it made every other value of the column equal."""
    x = np.random.default_rng(0).normal(size=(100, 3))
    codes = [np.arange(100) % 2] if batch else []
    wild = x.copy()
    wild[3, 0] = 1e7
    steps = [preparation(None, batch)] + [plain_preparation()] * (not batch)
    for each in steps:
        plain = each.fit_transform(np.column_stack([*codes, x]))
        moved = each.fit_transform(np.column_stack([*codes, wild]))
        others = np.delete(np.arange(100), 3)
        for j in range(3):
            assert np.corrcoef(plain[others, j], moved[others, j])[0, 1] > 0.99
        assert moved[others, 0].std() > 0.8


def test_a_feature_with_an_outlier_is_found_and_the_patient_named(tmp_path):
    """Before: "No evidence that radiomics predicts better than chance (AUC 0.555 …)"."""
    table, clinical, _ = cohort(17)
    table.iloc[3, 0] = 1e7
    found, told = fit(tmp_path, table, clinical)
    assert found.verdict[0].startswith("Radiomics predicts better than chance")
    warning = next(line for line in told if "far outside" in line)
    assert warning.startswith(
        "warning: 1 value lies far outside the others of the column: P003: f00 1e+07 (usual -"
    )
    listed = pd.read_csv(tmp_path / "out" / "outliers.csv")
    assert listed[["id", "column", "value"]].to_numpy().tolist() == [["P003", "f00", 1e7]]


def test_an_impossible_bmi_does_not_silence_the_clinical_model(tmp_path):
    table, clinical, random = cohort(18, strength=0.0)
    clinical["bmi"] = (25 + 4 * clinical["y"] + random.normal(0, 3, 150)).round(1)
    auc = {}
    for name, bmi in (("right", clinical["bmi"].iloc[7]), ("wrong", 191_953)):
        clinical.iloc[7, 1] = bmi
        found, told = fit(tmp_path, table, clinical, clinical=["bmi"])
        auc[name] = found.measures["clinical only"]["AUC"].value
    assert any("P007: bmi 191953 (usual " in line for line in told)
    assert auc["right"] > 0.75
    assert abs(auc["wrong"] - auc["right"]) < 0.02


def test_typing_errors_are_outliers_and_skewed_features_have_none(tmp_path):
    table, clinical, random = cohort(1, n=200, p=5)
    table["skewed"] = np.exp(2 * random.normal(size=200))
    table["zeros"] = np.where(random.random(200) < 0.7, 0, random.exponential(size=200))
    table["flag"] = (np.arange(200) < 5).astype(float)
    table["age"] = random.normal(65, 9, 200).round()
    clean = joined(tmp_path, table, clinical)
    assert len(outliers(clean)) == 0
    assert outlier_warnings(outliers(clean)) == []
    table.loc["P010", "age"] = 650
    table.loc["P011", "skewed"] = -500
    table.loc["P012", "f01"] = -1e4
    table.loc["P013", "f01"] = np.nan
    found = outliers(joined(tmp_path, table, clinical))
    assert set(zip(found["id"], found["column"], strict=True)) == {
        ("P010", "age"), ("P011", "skewed"), ("P012", "f01"),
    }  # fmt: skip
    assert found["id"].iloc[0] == "P012"  # the farthest


def test_a_third_missing_hides_no_true_feature(tmp_path):
    """Before: "No evidence that radiomics predicts better than chance (AUC 0.584 …)"."""
    table, clinical, random = cohort(6, p=40)
    values = table.to_numpy()
    values[random.random(values.shape) < 0.3] = np.nan
    table[:] = values
    found, told = fit(tmp_path, table, clinical)
    assert found.verdict[0].startswith("Radiomics predicts better than chance")
    used = pd.read_csv(tmp_path / "out" / "features_used.csv").set_index("feature")
    assert used.loc["f00", "share_of_folds"] == 1
    gaps = pd.read_csv(tmp_path / "out" / "missing_values.csv")
    assert len(gaps) == 40
    assert dict(zip(gaps["column"], gaps["missing"], strict=True)) == dict(table.isna().sum())
    assert (gaps["dropped_in"] == 0).all()
    assert any(line.startswith("40 columns have missing values, ") for line in told)
    first = gaps.iloc[0]
    share = f"{100 * first['share']:.0f} %"
    row = f"| {first['column']} | feature | {first['missing']} ({share}) | 0 of 5 |"
    assert row in (tmp_path / "out" / "report.md").read_text()


def test_what_most_patients_lack_is_left_out_once_and_told(tmp_path):
    table, clinical, random = cohort(2, n=40, p=4)
    table.loc[random.permutation(table.index)[:20], "f01"] = np.nan  # half
    table.loc[random.permutation(table.index)[:21], "f02"] = np.nan
    table["f03"] = np.where(np.arange(40) < 3, 1.0, 0.0)
    whole = joined(tmp_path, table, clinical)
    found, left_out = without_gaps(whole)
    assert list(found.features) == ["f00", "f01", "f03"]
    assert (
        "1 features that more than 50 % of the patients lack were left out: f02" in found.notes[-1]
    )
    assert left_out[["column", "missing", "filled_with"]].to_numpy().tolist() == [
        ["f02", 21, "left out"]
    ]
    trainings = [np.arange(2, 40), np.arange(40)]  # 1 of 38 is not 5 %, 3 of 40 are
    table = missing_values(found, trainings)
    assert table[["column", "missing", "dropped_in", "models"]].to_numpy().tolist() == [
        ["f01", 20, 0, 2], ["f03", 0, 1, 2],
    ]  # fmt: skip
    assert missing_notes(table)[1] == (
        "Nearly constant in the training rows: f03 in 1 of 2 models."
    )
    whole.features[:] = np.nan
    with pytest.raises(ValueError, match="all 4 features are missing in more than 50 %"):
        without_gaps(whole)


def test_who_has_no_category_is_a_level_of_its_own():
    cells = pd.Series(["squamous", "unknown", "adeno", "", "NA", "missing", "?", "Adeno"])
    with pytest.raises(ValueError, match="'Adeno' and 'adeno' differ in case only"):
        clinical_levels(cells, "h")
    cells = cells.replace("Adeno", "adeno")
    levels = clinical_levels(cells, "h")
    assert levels == ("adeno", "squamous", "")
    found = clinical_numbers(cells, "h", levels)
    assert list(found) == ["h=squamous", "h=missing"]
    assert list(found["h=missing"]) == [0, 1, 0, 1, 1, 1, 1, 0]
    assert not found.isna().any().any()
    few = clinical_levels(cells[:4], "h")  # two patients are no level
    assert few == ("adeno", "squamous")
    assert clinical_numbers(cells[:4], "h", few)["h=squamous"].isna().tolist() == [0, 1, 0, 1]


def unknowns(seed, n=150):
    """Who is of unknown histology does worst; before, that was read as "adeno", which is rare."""
    random = np.random.default_rng(seed)
    names = ["adeno", "large", "nos", "squamous", "unknown"]
    h = random.choice(names, n, p=[0.08, 0.25, 0.22, 0.25, 0.2])
    table = pd.DataFrame(
        random.normal(size=(n, 12)),
        columns=[f"f{j:02d}" for j in range(12)],
        index=pd.Index([f"P{i:03d}" for i in range(n)], name="patient_id"),
    )
    y = (random.logistic(size=n) < np.where(h == "unknown", 1.5, -0.3)).astype(int)
    return table, pd.DataFrame({"y": y, "histology": h}, index=table.index)


def test_unknown_is_not_the_alphabetically_first_category(tmp_path):
    table, clinical = unknowns(16)
    _, told = fit(tmp_path, table, clinical, clinical=["histology"])
    count = (clinical["histology"] == "unknown").sum()
    assert any(
        f"1 column has missing values, 'histology' ({count} patients, " in line
        and "filled with: a level of its own" in line
        for line in told
    )
    saved = load_model(tmp_path / "out")
    found = predict(saved, *write(tmp_path, table, clinical)).table.set_index("id")
    risk = found["clinical_only"].groupby(clinical["histology"]).first()
    seen = clinical["y"].groupby(clinical["histology"]).mean()
    assert risk["unknown"] == risk.max()
    assert abs(risk["unknown"] - seen["unknown"]) < 0.05
    assert risk["unknown"] - risk["adeno"] > 0.2


def test_a_rare_unknown_is_given_the_shares_of_the_categories(tmp_path):
    table, clinical = unknowns(17)
    known = clinical["histology"] != "unknown"
    table, clinical = table[known], clinical[known].copy()
    clinical["y"] = (clinical["histology"] == "adeno").astype(int)
    clinical.loc[clinical.index[::7], "y"] ^= 1
    clinical["age"] = 60 + np.arange(len(clinical)) % 9  # who lacks all values is not predicted
    clinical.loc[clinical.index[0], "age"] = clinical["age"].median()
    fit(tmp_path, table, clinical, clinical=["histology", "age"])
    saved = load_model(tmp_path / "out")
    new = clinical.copy()
    new.iloc[0, 1] = "unknown"
    found = predict(saved, *write(tmp_path, table, new)).table.set_index("id")["clinical_only"]
    risk = found[1:].groupby(clinical["histology"][1:]).mean()
    assert risk["adeno"] > 0.6
    assert risk["large"] < found.iloc[0] < risk["adeno"]
    assert found.iloc[0] < 0.3  # "adeno" is rare
