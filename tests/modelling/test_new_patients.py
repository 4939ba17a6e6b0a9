"""A model of a table as pancseg writes it, applied to tables that are not like the training's."""

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from pancseg import load_model
from pancseg import predict as predict_new
from pancseg.cli import app
from pancseg.modelling import subtype
from pancseg.modelling.saved_model import read_model

SHORT = ["--repeats", "1", "--folds", "3", "--inner-folds", "2", "--workers", "1", "--canary", "0"]
N = 60


def pancseg(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def cohort(seed, n=N):
    """Features of two regions with text beside them, and a clinical file."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 4))
    ids = [f"P{i:03d}" for i in range(n)]
    table = pd.DataFrame({"patient_id": ids, "roi": "pancreas", "qc_status": "pass"})
    table["settings_sha256"] = "0123456789ab"
    table["diagnostics_version"] = "3.1"
    table["original_shape_VoxelVolume"] = 50 + 5 * x[:, 0]
    table[list("abc")] = x[:, 1:]
    label = np.where(x[:, 1] + random.normal(size=n) > 0, "high", "low")
    clinical = pd.DataFrame({"patient_id": ids, "grade": label})
    clinical["sex"] = np.where(random.random(n) < 0.5, "female", "male")
    clinical["age"] = random.integers(40, 80, n)
    clinical["death"] = np.where(x[:, 1] > 0, "fatal", "lost")
    clinical["time"] = random.exponential(5, n).round(2) + 0.01
    return table, clinical


def write(folder, table, clinical, name="new"):
    paths = folder / f"{name}.csv", folder / f"{name}_clinical.csv"
    for path, frame in zip(paths, (table, clinical), strict=True):
        frame.to_csv(path, index=False)
    return paths


def fit(paths, *options):
    command = ["model", "subtype", paths[0], "--outcome", paths[1], "--label", "grade"]
    return pancseg(*command, *options)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A subtype model, fitted on one region of two."""
    folder = tmp_path_factory.mktemp("fitted")
    table, clinical = cohort(1)
    other = table.assign(roi="tumour", a=0.0)
    paths = write(folder, pd.concat([table, other]), clinical)
    result = fit(
        paths,
        *("--positive", "high", "--clinical", "sex", "--clinical", "age", "--roi", "pancreas"),
        *("--drop", "diagnostics_version", "--out", folder / "out", *SHORT),
    )
    assert result.exit_code == 0, result.output
    return folder / "out"


def predict(fitted, folder, table, clinical=None, *options):
    paths = write(folder, table, table[["patient_id"]] if clinical is None else clinical)
    outcome = [] if clinical is None else ["--outcome", paths[1]]
    out = folder / "p.csv"
    result = pancseg("predict", fitted, paths[0], *outcome, "--out", out, *options)
    return result, pd.read_csv(out) if result.exit_code == 0 else None


def test_the_library_writes_what_the_command_writes(fitted, tmp_path):
    table, clinical = cohort(2)
    printed, frame = predict(fitted, tmp_path, table, clinical)
    paths = write(tmp_path, table, clinical)
    told = []
    saved = load_model(fitted)
    found = predict_new(saved, *paths, tmp_path / "again.csv", report=told.append)
    assert printed.output.splitlines() == [*told, *found.lines]
    for name in ("{}.csv", "{}_validation.csv"):
        one, other = (tmp_path / name.format(stem) for stem in ("p", "again"))
        assert one.read_bytes() == other.read_bytes()
    assert found.not_judged is None
    assert found.measures["radiomics"]["AUC"].value > 0.5
    pd.testing.assert_frame_equal(found.table, frame, check_dtype=False)
    with pytest.raises(ValueError, match=r"^`out` would overwrite the feature table"):
        predict_new(saved, *paths, paths[1])
    with pytest.raises(ValueError, match=r"^no model\.safetensors found; give the folder"):
        load_model(tmp_path)


def test_one_new_patient_gets_what_the_same_one_gets_among_others(fitted, tmp_path):
    table, clinical = cohort(2)
    result, all_of = predict(fitted, tmp_path, table, clinical)
    assert result.exit_code == 0, result.output
    assert "external validation, 60 patients" in result.output
    man = int(np.flatnonzero(clinical["sex"] == "male")[0])
    one = slice(man, man + 1)
    without = clinical[one].drop(columns=["grade", "death", "time"])
    result, alone = predict(fitted, tmp_path, table[one], without)
    assert result.exit_code == 0, result.output
    assert "the clinical file has no values of 'grade': no external validation" in result.output
    pd.testing.assert_frame_equal(alone, all_of[one].reset_index(drop=True))


def test_columns_that_the_model_does_not_know_change_nothing(fitted, tmp_path):
    table, _ = cohort(2)
    _, before = predict(fitted, tmp_path, table)
    more = table.assign(original_shape_MeshVolume=7.0, note="seen twice", d=1.0)
    result, after = predict(fitted, tmp_path, more)
    assert result.exit_code == 0, result.output
    pd.testing.assert_frame_equal(before, after)
    assert list(before.columns) == ["id", "radiomics", "volume_only"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"roi": "tumour"},
            "the region 'pancreas', which the model was fitted on; found tumour",
        ),
        ({"settings_sha256": "ffff"}, "other settings (settings_sha256 ffff) than the model's"),
    ],
)
def test_another_region_and_other_settings_are_refused(fitted, tmp_path, change, line):
    result, _ = predict(fitted, tmp_path, cohort(2)[0].assign(**change))
    assert result.exit_code == 2
    assert line in result.output


def test_a_class_that_is_new_is_refused(fitted, tmp_path):
    table, clinical = cohort(2)
    changed = clinical.copy()
    changed.loc[3, "grade"] = "odd"
    result, _ = predict(fitted, tmp_path, table, changed)
    assert result.exit_code == 2
    assert "fitted without the class 'odd'" in result.output
    same, _ = predict(fitted, tmp_path, table, clinical)
    changed = clinical.assign(grade=clinical["grade"].map({"high": "H", "low": "L"}))
    result, _ = predict(fitted, tmp_path, table, changed, "--positive", "H")
    assert result.exit_code == 0, result.output
    assert result.output == same.output


def test_a_patient_with_a_new_category_is_not_taken_for_another(fitted, tmp_path):
    """Before, one such patient stopped the prediction of all."""
    table, clinical = cohort(2)
    _, before = predict(fitted, tmp_path, table, clinical)
    changed = clinical.copy()
    changed.loc[3, "sex"] = "odd"
    result, found = predict(fitted, tmp_path, table, changed)
    assert result.exit_code == 0, result.output
    line = "clinical variable 'sex': 1 patients have values that the model was fitted without"
    assert f"{line} ('odd'; it knows 'female', 'male'), and get no prediction" in result.output
    assert found.loc[3, ["clinical_only", "clinical_and_radiomics"]].isna().all()
    assert found.loc[3, "radiomics"] == before.loc[3, "radiomics"]
    pd.testing.assert_frame_equal(found.drop(index=3), before.drop(index=3))


@pytest.mark.parametrize("grade", ["", "unknown"])
def test_patients_without_an_outcome_are_predicted(fitted, tmp_path, grade):
    table, clinical = cohort(2, 5)
    result, found = predict(fitted, tmp_path, table, clinical.assign(grade=grade))
    assert result.exit_code == 0, result.output
    assert "the clinical file has no values of 'grade'" in result.output
    assert found["clinical_and_radiomics"].notna().all()


def test_what_cannot_be_judged_is_predicted_all_the_same(fitted, tmp_path):
    table, clinical = cohort(2, 5)
    result, _ = predict(fitted, tmp_path, table, clinical.assign(grade="low"))
    assert result.exit_code == 1
    assert "only one class in 5 patients; they were predicted" in result.output
    assert len(pd.read_csv(tmp_path / "p.csv")) == 5
    table, clinical = cohort(2)
    table["original_shape_VoxelVolume"] = np.nan
    result, found = predict(fitted, tmp_path, table, clinical)
    assert result.exit_code == 0, result.output
    assert found["volume_only"].isna().all()
    assert "radiomics: AUC" in result.output
    assert "volume only: AUC" not in result.output


def test_missing_values_are_told_and_a_patient_without_any_gets_no_prediction(fitted, tmp_path):
    table, clinical = cohort(2)
    table.loc[0, list("abc")] = np.nan
    table.loc[0, "original_shape_VoxelVolume"] = np.nan
    table.loc[1, "original_shape_VoxelVolume"] = np.nan
    result, found = predict(fitted, tmp_path, table, clinical)
    assert result.exit_code == 0, result.output
    assert "volume only: 2 of 60 patients lack all values that it uses and get" in result.output
    assert "volume only: 2 of 60 patients lack some" not in result.output
    assert found["volume_only"].isna().sum() == 2
    assert found["radiomics"].isna().sum() == 1
    there = found["volume_only"].notna()
    auc = roc_auc_score(clinical["grade"][there] == "high", found["volume_only"][there])
    assert f"volume only (58 rows): AUC {auc:.3f}" in result.output
    judged = pd.read_csv(tmp_path / "p_validation.csv").set_index(["model", "measure"])
    assert judged.loc[("volume only", "AUC"), "value"] == pytest.approx(auc)
    high = clinical["grade"] == "high"
    for name, rows in (("volume only", there), ("clinical only", there | True)):
        numbers = judged.loc[(name, "AUC"), ["rows", "positive_or_events"]]
        assert tuple(numbers) == (rows.sum(), high[rows].sum())
    without, _ = predict(fitted, tmp_path, table)
    assert without.exit_code == 0
    assert not (tmp_path / "p_validation.csv").exists()  # of other predictions
    (tmp_path / "p_validation.csv").write_text("somebody,else\n")
    predict(fitted, tmp_path, table)
    assert (tmp_path / "p_validation.csv").read_text() == "somebody,else\n"


def test_nobody_of_features_is_dropped(fitted, tmp_path):
    """Neither who is not in CLINICAL nor who failed the verdict."""
    table, clinical = cohort(2)
    table.loc[7, "qc_status"] = "fail"
    result, found = predict(fitted, tmp_path, table, clinical[10:])
    assert result.exit_code == 0, result.output
    assert sorted(found["id"]) == sorted(table["patient_id"])
    assert "10 rows were predicted from features alone" not in result.output
    assert "9 rows were predicted from features alone" in result.output
    assert "59 of 60 rows predicted" in result.output
    assert "external validation, 50 patients with a known outcome" in result.output
    found = found.set_index("id").sort_index()
    assert found.loc["P007"].isna().all()
    assert found.drop("P007")["radiomics"].notna().all()
    assert found.loc["P003", "volume_only"] == found.loc["P003", "volume_only"]
    assert np.isnan(found.loc["P003", "clinical_only"])
    assert found.drop("P007").loc["P010":, "clinical_only"].notna().all()


def test_groups_of_the_clinical_file_hold_though_somebody_is_not_in_it(fitted, tmp_path):
    table, clinical = cohort(2)
    clinical["site"] = [f"S{i // 10}" for i in range(N)]
    result, found = predict(fitted, tmp_path, table, clinical[1:], "--group", "site")
    assert result.exit_code == 0, result.output
    assert found["radiomics"].notna().all()
    ungrouped, _ = predict(fitted, tmp_path, table, clinical[1:])
    assert result.output != ungrouped.output  # intervals of six sites are others


def test_a_site_that_only_the_clinical_file_knows_costs_those_alone(tmp_path):
    table, clinical = cohort(1)
    table = table.drop(columns="diagnostics_version")
    clinical["scanner"] = np.where(np.arange(N) % 2, "A", "B")
    paths = write(tmp_path, table, clinical)
    result = fit(
        paths,
        *("--batch", "scanner", "--out", tmp_path / "out", *SHORT),
    )
    assert result.exit_code == 0, result.output
    result, found = predict(tmp_path / "out", tmp_path, table, clinical[1:])
    assert result.exit_code == 0, result.output
    assert (
        "1 rows have no prediction: the model's --batch: neither file has a column" in result.output
    )
    assert list(found[found["radiomics"].isna()]["id"]) == ["P000"]


@pytest.mark.parametrize("out", ["new.csv", "new_clinical.csv", "new.csv/../new.csv"])
def test_what_is_read_is_not_written_over(fitted, tmp_path, out):
    table, clinical = cohort(2)
    paths = write(tmp_path, table, clinical)
    before = [path.read_bytes() for path in paths]
    (tmp_path / "new.csv").rename(tmp_path / "x_validation.csv")
    out = {"new.csv": "x_validation.csv", "new_clinical.csv": out}.get(out, "x.csv")
    command = ["predict", fitted, tmp_path / "x_validation.csv", "--outcome", paths[1]]
    result = pancseg(*command, "--out", tmp_path / out)
    assert result.exit_code == 2
    assert "--out would overwrite the feature table or the clinical file" in result.output
    assert [(tmp_path / "x_validation.csv").read_bytes(), paths[1].read_bytes()] == before


@pytest.mark.parametrize("runs", ["1", "2"])
def test_a_canary_that_can_hardly_sing_is_refused(tmp_path, runs):
    paths = write(tmp_path, *cohort(1))
    result = fit(
        paths,
        *("--out", tmp_path / "out", "--canary", runs),
    )
    assert result.exit_code == 2
    assert f"{runs} are too few to find a leak" in " ".join(result.output.split())
    assert "pydantic" not in result.output


def test_a_fold_without_a_class_is_refused_before_the_work(tmp_path):
    """Of the positives' three groups one fold may hold two."""
    sizes = {"A": (40, 0), "B": (40, 0), "C": (4, 30), "D": (0, 30), "E": (0, 1), "F": (0, 1)}
    rows = [(g, "high") for g, (p, _) in sizes.items() for _ in range(p)]
    rows += [(g, "low") for g, (_, q) in sizes.items() for _ in range(q)]
    table, clinical = cohort(1, len(rows))
    clinical["site"], clinical["grade"] = zip(*rows, strict=True)
    paths = write(tmp_path, table.drop(columns="diagnostics_version"), clinical)
    result = fit(
        paths,
        *("--group", "site", "--out", tmp_path / "out", *SHORT),
    )
    assert result.exit_code == 2
    assert "a fold would have only one class to train on" in result.output


def test_a_grid_that_the_model_has_not_seen_is_told(tmp_path):
    table, clinical = cohort(1)
    table = table.drop(columns="diagnostics_version").assign(qc_grid_mm="1×1×1")
    table.loc[clinical["grade"] == "high", "qc_grid_mm"] = "2×2×2"
    result = pancseg(
        *("model", "subtype", *write(tmp_path, table, clinical)[:1], "--outcome"),
        *(tmp_path / "new_clinical.csv", "--label", "grade", "--out", tmp_path / "out", *SHORT),
    )
    assert result.exit_code == 0, result.output
    assert "Rows were measured on 2 grids (" in result.output
    assert "The grid (qc_grid_mm) is associated with the outcome" in result.output
    result, _ = predict(tmp_path / "out", tmp_path, table)
    assert "not seen" not in result.output
    table.loc[:2, "qc_grid_mm"] = "3×3×3"
    result, _ = predict(tmp_path / "out", tmp_path, table)
    assert "3 rows were measured on grids that the model has not seen (3×3×3 mm)" in result.output
    assert "measured on 2 grids (" in (tmp_path / "out" / "report.md").read_text()


def test_rows_of_a_patient_are_told_from_patients(fitted, tmp_path):
    table, clinical = cohort(2)
    scans = [f"s{i}" for i in range(N)]
    table["scan_id"] = scans
    clinical["scan_id"] = scans
    table["patient_id"] = clinical["patient_id"] = [f"P{i // 10}" for i in range(N)]
    ids = ["--id", "scan_id", "--outcome-id", "scan_id"]
    grouped, _ = predict(fitted, tmp_path, table, clinical, *ids)
    assert grouped.exit_code == 0, grouped.output
    assert "60 rows of 6 patients, by patient_id." in grouped.output
    assert "external validation, 60 rows of 6 patients with" in grouped.output
    parted, _ = predict(fitted, tmp_path, table, clinical, *ids, "--group", "scan_id")
    assert parted.exit_code == 0, parted.output
    assert "rows of" not in parted.output


def test_the_report_names_the_classes_and_the_settings_all_choices(fitted):
    assert "high (the positive class)" in (fitted / "report.md").read_text()
    chosen = yaml.safe_load((fitted / "settings.yaml").read_text())
    assert chosen["settings"]["positive"] == "high"
    assert chosen["features"] == {
        "settings": "0123456789ab",
        "region": "pancreas",
        "volume": "original_shape_VoxelVolume",
        "group": None,
        "grids": [],
        "levels": {"sex": ["female", "male"], "age": []},
    }


def test_the_event_of_the_training_is_the_event_of_new_patients(tmp_path):
    paths = write(tmp_path, cohort(1)[0].drop(columns="diagnostics_version"), cohort(1)[1])
    columns = ["--time", "time", "--event", "death", "--event-is", "fatal"]
    stability = tmp_path / "icc.csv"
    stability.write_text("feature,icc\na,0.9\nb,0.5\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "roc.png").write_bytes(b"of an earlier run")
    result = pancseg(
        *("model", "survival", paths[0], "--outcome", paths[1], *columns),
        *("--stability", stability, "--out", tmp_path / "out", *SHORT),
    )
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "out" / "roc.png").exists()
    chosen = yaml.safe_load((tmp_path / "out" / "settings.yaml").read_text())["settings"]
    assert chosen["event_is"] == "fatal"
    assert len(chosen["stability_sha256"]) == 64
    result, _ = predict(tmp_path / "out", tmp_path, *cohort(2))
    assert result.exit_code == 0, result.output
    assert "external validation, 60 patients" in result.output
    table, clinical = cohort(2)
    result, _ = predict(tmp_path / "out", tmp_path, table, clinical.assign(time=clinical.time * 30))
    assert "are both in the same unit?" in result.output
    short = clinical.assign(time=clinical["time"] / 300)
    result, _ = predict(tmp_path / "out", tmp_path, table, short)
    assert "no patient was followed up to" in result.output
    judged = pd.read_csv(tmp_path / "p_validation.csv").set_index(["model", "measure"])["value"]
    unknown = [name for name in judged.index if name[1].startswith(("AUC at", "Brier at"))]
    assert len(unknown) >= 4
    assert judged[unknown].isna().all()
    assert judged["radiomics", "Harrell's C"] > 0


@pytest.mark.parametrize(
    ("change", "options", "line"),
    [
        (
            {"a": 1.0, "b": 2.0, "c": 3.0, "original_shape_VoxelVolume": 4.0},
            [],
            "no feature is left",
        ),
        (
            {},
            ["--clinical", "copy"],
            "clinical variable 'copy' is the outcome 'grade' under another",
        ),
        ({}, ["--stability", "icc.csv"], "('x', …) names none of the features"),
        ({}, ["--folds", "30"], "'--folds'"),
        ({}, ["--out", "taken"], "cannot be reached: File exists"),
    ],
)
def test_what_ended_in_other_programs_messages_or_after_the_work(
    tmp_path, monkeypatch, change, options, line
):
    table, clinical = cohort(1)
    clinical["copy"] = (clinical["grade"] == "low").astype(int)
    table = table.drop(columns="diagnostics_version").assign(**change)
    monkeypatch.chdir(tmp_path)
    paths = write(tmp_path, table, clinical)
    (tmp_path / "icc.csv").write_text("feature,icc\nx,0.9\n")
    (tmp_path / "taken").write_text("")
    result = fit(
        paths,
        *("--out", "out", *SHORT, *options),
    )
    assert result.exit_code == 2
    assert line in " ".join(result.output.replace("│", " ").split())


def test_patients_are_counted_not_their_rows(tmp_path):
    """Nine patients of a class, three scans each."""
    table, clinical = cohort(1, 90)
    table["patient_id"] = [f"P{i // 3}" for i in range(90)]
    table["scan_id"] = clinical["scan_id"] = [f"s{i}" for i in range(90)]
    clinical["grade"] = np.where(np.arange(90) < 27, "high", "low")
    table = table.drop(columns="diagnostics_version")
    paths = write(tmp_path, table, clinical.drop(columns="patient_id"))
    result = fit(
        paths,
        *("--id", "scan_id", "--outcome-id", "scan_id", "--out", tmp_path / "out", *SHORT),
    )
    assert result.exit_code == 2
    assert "the smaller class has 9 of 30 patients" in result.output


def test_a_class_of_few_groups_is_refused(tmp_path):
    table, clinical = cohort(1)
    clinical["site"] = np.where(clinical["grade"] == "high", 0, 1 + np.arange(N) % 8)
    paths = write(tmp_path, table.drop(columns="diagnostics_version"), clinical)
    result = fit(
        paths,
        *("--group", "site", "--out", tmp_path / "out", "--model", "random-forest"),
    )
    assert result.exit_code == 2
    assert "all patients of a class are in 1 of 9 groups" in result.output


def test_groups_that_the_folds_cannot_part_are_refused(tmp_path):
    table, clinical = cohort(1)
    clinical["site"] = np.arange(N) % 3
    paths = write(tmp_path, table.drop(columns="diagnostics_version"), clinical)
    result = fit(
        paths,
        *("--group", "site", "--out", tmp_path / "out"),
    )
    assert result.exit_code == 2
    assert "3 groups of rows that stay together are too few for 5 folds" in result.output


def test_a_model_that_uses_no_feature_predicts(tmp_path, monkeypatch):
    """The elastic net always uses one, so it is given a penalty that no column survives."""
    monkeypatch.setattr(subtype, "net_settings", lambda smallest: [(2, 2.0)])
    monkeypatch.setattr(subtype, "SPREADS", ())
    table, clinical = cohort(1)
    clinical["grade"] = np.where(np.random.default_rng(9).random(N) < 0.5, "high", "low")
    paths = write(tmp_path, table.drop(columns="diagnostics_version"), clinical)
    result = fit(
        paths,
        *("--out", tmp_path / "out", *SHORT),
    )
    assert result.exit_code == 0, result.output
    assert "No feature was used in 3 of 3 models." in result.output
    assert "cannot be excluded" in result.output
    saved = read_model((tmp_path / "out" / "model.safetensors").read_bytes())
    assert not saved.models["radiomics"].weights.any()
    result, found = predict(tmp_path / "out", tmp_path, table)
    assert result.exit_code == 0, result.output
    assert found["radiomics"].nunique() == 1
    assert found["volume_only"].nunique() == N
