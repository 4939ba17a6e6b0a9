"""Leaks that are not exact copies are named, in the verdict or before a model is judged."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sksurv.metrics import concordance_index_censored

from pancseg import fit_model, load_model, predict
from pancseg.modelling.doubts import doubts_of
from pancseg.modelling.endpoint import Endpoint
from pancseg.modelling.estimators.survival_array import survival_outcome
from pancseg.modelling.inputs.features_table import TableOrigin
from pancseg.modelling.inputs.join import JoinedTable
from pancseg.modelling.inputs.near_twins import letter_twins, near_twins
from pancseg.modelling.overlap import (
    own_rows,
    row_hashes,
    salt_of,
    telling_columns,
    with_all_digits,
)
from pancseg.modelling.saved_model import model_bytes, read_model
from pancseg.modelling.validation.lone_columns import (
    auc_from_chance,
    c_from_chance,
    lone_column_sentences,
    lone_columns,
)

SHORT = {"folds": 3, "inner_folds": 2, "repeats": 1, "canary": 0, "workers": 1}


def frame(x, ids=None):
    names = [f"f{j:02d}" for j in range(x.shape[1])]
    ids = [f"P{i:03d}" for i in range(len(x))] if ids is None else ids
    return pd.DataFrame(x, columns=names, index=pd.Index(ids, name="patient_id"))


def survival(random, n):
    death, censored = random.exponential(20, n), random.uniform(5, 60, n)
    return survival_outcome(death <= censored, np.minimum(death, censored))


def fit(folder, table, clinical, **options):
    table.to_csv(folder / "f.csv")
    clinical.to_csv(folder / "c.csv")
    told = []
    found = fit_model(
        folder / "f.csv", folder / "c.csv", folder / "out", **options, **SHORT, report=told.append
    )
    return found, told


def test_a_columns_own_auc_and_c_are_those_of_scikit():
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 5)).round(1)
    x[random.random(x.shape) < 0.1] = np.nan
    y, times = random.integers(0, 2, 80), survival(random, 80)
    times["time"] = np.ceil(times["time"])
    auc, c = auc_from_chance(x, y == 1), c_from_chance(x, times)
    for j in range(5):
        seen = ~np.isnan(x[:, j])
        assert auc[j] == pytest.approx(abs(roc_auc_score(y[seen], x[seen, j]) - 0.5))
        event, time = times["event"][seen], times["time"][seen]
        assert c[j] == pytest.approx(
            abs(concordance_index_censored(event, time, x[seen, j])[0] - 0.5)
        )


def leak_of_time(kind, y, random):
    weeks = random.normal(0, 0.5, len(y))  # 14 days, in months
    wrong = np.where(random.random(len(y)) < 0.05, ~y["event"], y["event"])
    return {
        "logarithm": np.log(y["time"]),
        "two weeks": y["time"] + weeks,
        "falling": 1 / (1 + y["time"]),
        "event": wrong.astype(float) + random.normal(0, 0.1, len(y)),
    }[kind]


@pytest.mark.parametrize("kind", ["logarithm", "two weeks", "falling", "event"])
@pytest.mark.parametrize("n", [80, 500])
def test_a_column_made_from_the_time_is_named(kind, n):
    random = np.random.default_rng(1)
    y, table = survival(random, n), frame(random.normal(size=(n, 20)))
    assert lone_column_sentences(table, y) == []
    (line,) = lone_column_sentences(table.assign(texture=leak_of_time(kind, y, random)), y)
    assert line.startswith("One column alone predicts the outcome strongly (Harrell's C or AUC of ")
    assert "'texture' (0.9" in line or "'texture' (1.0" in line
    assert "every number here is void: leave it out (`drop`" in line


def test_a_class_with_a_few_errors_is_named():
    random = np.random.default_rng(2)
    y = random.integers(0, 2, 120)
    wrong = np.where(random.random(120) < 0.05, 1 - y, y).astype(float)
    (name,) = lone_columns(frame(random.normal(size=(120, 20))).assign(a=wrong), y).index
    assert name == "a"


def test_how_many_columns_would_do_so_by_chance_is_told():
    random = np.random.default_rng(3)
    y = np.arange(20) % 2
    (line,) = lone_column_sentences(frame(random.normal(size=(20, 2000))), y)
    count = int(line.split(" columns")[0])
    expected = float(line.split("about ")[1].split(" of 2000 columns of noise")[0])
    assert expected / 4 < count < expected * 4
    large = np.arange(120) % 2
    noise = frame(random.normal(size=(120, 20))).assign(a=large + random.normal(0, 0.3, 120))
    (line,) = lone_column_sentences(noise, large)
    assert "noise" not in line


def test_log_time_ends_in_the_verdict(tmp_path):
    """Before: "Radiomics predicts better than chance (Harrell's C 0.994 …)" and nothing else."""
    random = np.random.default_rng(19)
    y = survival(random, 80)
    clinical = pd.DataFrame({"months": y["time"].round(2), "dead": y["event"].astype(int)})
    table = frame(random.normal(size=(80, 20))).assign(texture=np.log(y["time"]).round(4))
    clinical.index = table.index
    found, told = fit(tmp_path, table, clinical, time="months", event="dead")
    assert found.verdict[0].startswith("One column alone predicts the outcome strongly")
    assert "'texture' (1.000)" in found.verdict[0]
    assert f"warning: {found.verdict[0]}" in told
    report = (tmp_path / "out" / "report.md").read_text()
    assert "'texture' (1.000)" in report.split("## Data")[0]


def rescans(random, patients=50, noise=0.05, p=60):
    x = np.repeat(random.normal(size=(patients, p)), 2, 0)
    x += random.normal(0, noise, x.shape)
    ids = [f"P{i:03d}{s}" for i in range(patients) for s in "ab"]
    return frame(x, ids)


def test_patients_under_two_ids_end_in_the_verdict(tmp_path):
    random = np.random.default_rng(5)
    table = rescans(random)
    clinical = pd.DataFrame({"y": np.repeat(random.integers(0, 2, 50), 2)}, index=table.index)
    found, _ = fit(tmp_path, table, clinical, label="y")
    assert found.verdict[0].startswith("50 pairs of patients are nearly the same in all features")
    assert "name the column of the patient with `group`" in found.verdict[0]
    clinical["patient"] = table.index.str[:-1]
    found, told = fit(tmp_path, table, clinical, label="y", group="patient")
    assert "pairs of" not in " ".join([*found.verdict, *told])


@pytest.mark.parametrize(("latent", "twins"), [(2, 0), (6, 0), (6, 1), (6, 3), (40, 0), (40, 3)])
def test_one_pair_of_twins_is_found_and_strangers_are_none(latent, twins):
    """Features of radiomics are correlated: forty columns may hold six numbers."""
    random = np.random.default_rng([latent, twins])
    x = random.normal(size=(150, latent)) @ random.normal(size=(latent, 40))
    for twin in range(twins):
        x[twin] = x[149 - twin] + random.normal(0, 1e-3, 40)
    table = frame(np.exp(x / 5))
    found = near_twins(table, table.index.to_numpy())
    expected = {(f"P{twin:03d}", f"P{149 - twin:03d}") for twin in range(twins)}
    assert set(found) == expected
    same = np.where(np.isin(np.arange(150), [0, 149]), "both", table.index)
    assert set(near_twins(table, same)) == expected - {("P000", "P149")}


def test_real_tables_have_no_twins():
    from sklearn.datasets import load_breast_cancer, load_wine

    for load in (load_breast_cancer, load_wine):
        table = frame(load().data)
        assert near_twins(table, table.index.to_numpy()) == []


def test_ids_that_differ_in_the_last_letter():
    ids = pd.Index([f"P{i:02d}{s}" for i in range(6) for s in "AB"])
    assert letter_twins(ids, ids.to_numpy())[0] == ("P00A", "P00B")
    assert letter_twins(ids, ids.str[:-1].to_numpy()) == []
    assert letter_twins(ids[:8], ids[:8].to_numpy()) == []  # four pairs
    names = pd.Index(["Adam", "Adan", "case", "cash", *"abcdefghi"])
    assert letter_twins(names, names.to_numpy()) == []
    wards = pd.Index([f"7{letter}" for letter in "abcdefghijkl"])
    assert letter_twins(wards, wards.to_numpy()) == []


def test_letters_and_equal_outcomes_end_in_the_verdict_without_equal_features(tmp_path):
    """Two lesions of one patient do not look alike."""
    random = np.random.default_rng(6)
    table = rescans(random, noise=3.0)
    y = survival(random, 50)
    clinical = pd.DataFrame(
        {"t": np.repeat(y["time"], 2), "e": np.repeat(y["event"].astype(int), 2)},
        index=table.index,
    )
    found, told = fit(tmp_path, table, clinical, time="t", event="e")
    line = "50 pairs of ids differ in their last letter only, such as 'P000a' and 'P000b'; 50 of"
    assert found.verdict[0].startswith(line)
    shuffled = clinical.sample(frac=1, random_state=0).set_axis(clinical.index)
    found, told = fit(tmp_path, table, shuffled, time="t", event="e")
    assert "pairs of ids" not in found.verdict[0]
    assert any("50 pairs of ids differ" in line for line in told)


def small(seed, n=60):
    random = np.random.default_rng(seed)
    table = frame(random.normal(size=(n, 12)))
    y = (table["f00"] + random.normal(size=n) > 0).astype(int)
    return table, pd.DataFrame({"y": y}, index=table.index)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    fit(folder, *small(1), label="y")
    return folder / "out"


def apply(model, folder, table, clinical):
    table.to_csv(folder / "new.csv")
    clinical.to_csv(folder / "new_c.csv")
    told = []
    found = predict(
        model, folder / "new.csv", folder / "new_c.csv", folder / "p.csv", report=told.append
    )
    return found, told, pd.read_csv(folder / "p_validation.csv")


def test_the_training_table_is_no_external_validation(fitted, tmp_path):
    """Under other ids, in another order, and written with other digits."""
    table, clinical = small(1)
    ids = pd.Index([f"X{i}" for i in range(60)], name="patient_id")
    order = np.random.default_rng(0).permutation(60)
    again = table.iloc[order].set_axis(ids).map(lambda value: float(f"{value:.8g}"))
    found, told, written = apply(fitted, tmp_path, again, clinical.iloc[order].set_axis(ids))
    assert told[-2] == (
        "these 60 of 60 patients are the model's own (X0, X1, X2, …): it was fitted on them, and "
        "what it reaches with them is apparent performance"
    )
    title = "apparent performance, not external validation, 60 patients with a known outcome:"
    assert found.lines[0] == title
    assert set(written["kind"]) == {"apparent performance"}
    assert not (tmp_path / "p_report").exists()


def test_own_patients_among_others_are_left_out_of_the_validation(fitted, tmp_path):
    others, known = small(2)
    alone, _, written = apply(fitted, tmp_path, others, known)
    assert alone.lines[0] == "external validation, 60 patients with a known outcome:"
    assert set(written["kind"]) == {"external validation"}
    table, clinical = small(1)
    ids = pd.Index([f"Q{i:02d}" for i in range(20)], name="patient_id")
    both = pd.concat([table[:20].set_axis(ids), others])
    outcomes = pd.concat([clinical[:20].set_axis(ids), known])
    found, told, _ = apply(fitted, tmp_path, both, outcomes)
    assert any("these 20 of 80 patients are the model's own (Q00, Q01" in line for line in told)
    assert found.lines[0] == (
        "external validation, 60 patients with a known outcome (the model's own 20 left out):"
    )
    report = (tmp_path / "p_report" / "report.md").read_text()
    assert "60 patients, " in report
    assert "20 patients that the model was fitted on, and found again" in report
    for name, measured in alone.measures.items():
        for measure, estimate in measured.items():
            assert found.measures[name][measure].value == pytest.approx(estimate.value, nan_ok=True)
    assert len(found.table) == 80


def test_what_cannot_be_told_is_said(tmp_path):
    """Scores of few values do not tell patients apart."""
    random = np.random.default_rng(3)
    table = frame(random.integers(0, 3, (60, 3)).astype(float))
    y = (table["f00"] + random.normal(size=60) > 1).astype(int)
    clinical = pd.DataFrame({"y": y}, index=table.index)
    fit(tmp_path, table, clinical, label="y")
    found, _, _ = apply(tmp_path / "out", tmp_path, table, clinical)
    assert "whether the model was fitted on some of them cannot be told" in found.lines[0]


def test_hashes_say_nothing_without_the_table(fitted):
    saved = load_model(fitted)
    table, _ = small(1)
    sets, salt = telling_columns(table), saved.facts["salt"]
    assert [len(names) for names in sets] == [5, 5, 2]
    assert salt == salt_of(table.to_numpy()[::-1])
    assert (np.sort(row_hashes(table, sets, salt), axis=0) == saved.rows).all()
    other = row_hashes(table, sets, salt_of(table.to_numpy()[1:]))  # another cohort, another salt
    assert not np.isin(other, saved.rows).any()
    again = read_model(model_bytes(saved))
    assert (again.rows == saved.rows).all()


def test_rows_that_do_not_tell_patients_apart_are_not_hashed():
    random = np.random.default_rng(0)
    few = frame(random.integers(0, 3, (60, 3)).astype(float))
    assert telling_columns(few) == []
    ages = frame(np.column_stack([np.arange(60.0), random.integers(0, 2, 60)]))
    assert telling_columns(ages) == []  # patients of other cohorts have these ages, too
    assert own_rows(few.astype(str), [], "", np.empty((0, 0), np.int64)) is None
    empty = frame(np.full((3, 2), np.nan))
    assert (row_hashes(empty, [["f00"], ["f01"]], "x") == 0).all()
    assert own_rows(empty.astype(str), [["f00"]], "x", np.zeros((1, 1), np.int64)) == ()


def test_one_value_that_was_rounded_otherwise_hides_nobody():
    table, _ = small(1)
    sets, salt = telling_columns(table), salt_of(table.to_numpy())
    known = row_hashes(table, sets, salt)
    table.iloc[7, 3] += 1e-3
    assert own_rows(table.astype(str), sets, salt, known) == tuple(table.index)
    table.iloc[7] += 1e-3
    assert own_rows(table.astype(str), sets, salt, known) == tuple(table.index.drop("P007"))


def test_rounded_values_that_strangers_may_have_are_not_hashed():
    """Two measurements in whole millimetres and a grade tell 60 patients apart, but no others."""
    random = np.random.default_rng(2)
    sizes = random.permutation(90)[:60] // 2 + np.array([0, 40]).repeat(30)
    table = frame(np.column_stack([sizes, random.permutation(80)[:60] // 1.4 // 1, sizes % 3]))
    assert telling_columns(table) == []
    measured = frame(random.normal(size=(60, 2)))
    assert [len(names) for names in telling_columns(measured)] == [2]


def to_digits(table, digits):
    return table.map(lambda value: float(f"{value:.{digits}g}"))


def test_a_rounded_table_is_not_called_new(fitted, tmp_path):
    """Rounded to four digits, the training's own patients have other hashes."""
    table, clinical = small(1)
    rounded, _, _ = apply(fitted, tmp_path, to_digits(table, 4), clinical)
    assert (
        "cannot be told, as the table lacks features that the training's had, holds them ro"
        in (rounded.lines[0])
    )
    report = (tmp_path / "p_report" / "report.md").read_text()
    assert "holds them rounded to fewer than six digits" in report
    enough, _, _ = apply(fitted, tmp_path, to_digits(table, 6), clinical)
    assert enough.lines[0].startswith("apparent performance, not external validation")
    others, known = small(2)
    new, _, _ = apply(fitted, tmp_path, others, known)
    assert "cannot be told" not in new.lines[0]


@pytest.mark.parametrize("digits", [3, 4, 5])
def test_of_a_training_table_that_was_rounded_too_patients_are_told(digits):
    table, other = (to_digits(small(seed)[0], digits) for seed in (1, 2))
    sets, salt = telling_columns(table), salt_of(table.to_numpy())
    known, exact = row_hashes(table, sets, salt), with_all_digits(table, sets)
    assert exact == []
    assert own_rows(table.astype(str), sets, salt, known, exact) == tuple(table.index)
    assert own_rows(other.astype(str), sets, salt, known, exact) == ()


SCALES = np.tile([1e3, 1.0, 1e-3, 10.0, 1e-1], 4)


@pytest.mark.parametrize("decimals", [4, 3, 2])
@pytest.mark.parametrize("scales", [SCALES, np.full(20, 10.0), np.repeat([1e3, 1e-2], 10)])
def test_a_table_rounded_to_decimals_is_not_called_new(decimals, scales):
    """Large values keep six digits where small ones of the same set, or column, lose them."""
    random = np.random.default_rng(5)
    table, others = (frame(scales * random.normal(size=(60, 20))) for _ in range(2))
    sets, salt = telling_columns(table), salt_of(table.to_numpy())
    known, exact = row_hashes(table, sets, salt), with_all_digits(table, sets)
    assert sorted(exact) == sorted(name for names in sets for name in names)
    assert own_rows(table.astype(str), sets, salt, known, exact) == tuple(table.index)
    assert own_rows(others.astype(str), sets, salt, known, exact) == ()
    rounded = own_rows(table.round(decimals).astype(str), sets, salt, known, exact)
    assert rounded is None or len(rounded) > 0
    new = own_rows(others.round(decimals).astype(str), sets, salt, known, exact)
    assert new in (None, ())
    if scales is SCALES:
        assert rounded is new is None


def test_counts_above_100_000_do_not_hide_that_the_rest_was_rounded():
    random = np.random.default_rng(6)
    x = random.normal(size=(60, 5))
    x[:, 0] = random.permutation(900_000)[:60] + 100_000
    table = frame(x)
    sets, salt = telling_columns(table), salt_of(x)
    known, exact = row_hashes(table, sets, salt), with_all_digits(table, sets)
    assert "f00" in exact
    assert own_rows(table.round(4).astype(str), sets, salt, known, exact) is None
    assert own_rows(table.astype(str), sets, salt, known, exact) == tuple(table.index)


def test_a_text_of_two_values_is_one_column_in_the_verdict():
    """It was told as two columns, 'response=yes' and 'response=no'."""
    random = np.random.default_rng(11)
    y = np.resize([0, 1], 120)
    response = np.where(random.random(120) < 0.05, 1 - y, y)
    index = pd.Index([f"P{i:03d}" for i in range(120)], name="patient_id")
    features = pd.DataFrame({"a": random.normal(size=120)}, index)
    clinical = pd.DataFrame({"response=yes": response.astype(float)}, index)
    origin = TableOrigin(levels={"response": ("no", "yes")})
    empty = pd.DataFrame(index=index)
    joined = JoinedTable(features, clinical, empty, empty, np.asarray(index), None, origin)
    (doubt,) = doubts_of(joined, Endpoint("subtype", y, ("y",), ("0", "1")))
    assert doubt.text.startswith("One column alone predicts the outcome strongly (AUC): 'response")
