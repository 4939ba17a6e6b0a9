"""The commands on real tables that ship in lifelines and scikit-learn, and on bad input."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pancseg.cli import app

SHORT = ["--repeats", "1", "--folds", "3", "--inner-folds", "2", "--workers", "1"]


def pancseg(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def breast(tmp_path_factory):
    """scikit-learn's Wisconsin breast cancer table: 100 patients to fit, 100 to judge."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    folder = tmp_path_factory.mktemp("breast")
    for name, rows in (("old", slice(0, 100)), ("new", slice(100, 200))):
        table = data.data.iloc[rows].set_axis([f"P{n}" for n in range(100)])
        table.rename_axis("id").to_csv(folder / f"{name}.csv")
        label = data.target.iloc[rows].map({0: "malignant", 1: "benign"}).to_numpy()
        pd.DataFrame({"id": table.index, "label": label}).to_csv(
            folder / f"{name}_clinical.csv", index=False, sep=";"
        )
    return folder


def fit_breast(breast, out, canary=3, model="elastic-net"):
    outcome = ["--outcome", breast / "old_clinical.csv", "--label", "label"]
    command = ["model", "subtype", breast / "old.csv", *outcome, "--volume", "mean area"]
    return pancseg(*command, "--out", out, "--canary", canary, "--model", model, *SHORT)


def test_subtype_on_a_real_table_and_on_new_patients(breast, tmp_path):
    result = fit_breast(breast, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "better than chance" in result.output
    report = (tmp_path / "out" / "report.md").read_text()
    for title in ("Verdict", "Leakage canary", "Performance", "Calibration", "cannot know"):
        assert title in report
    assert "| volume only |" in report
    page = (tmp_path / "out" / "report.html").read_text()
    figures = {"flow", "roc", "calibration", "decision_curve", "nomogram", "features"}
    assert {name for name in figures if f"({name}.png)" in report} == figures
    assert page.count("data:image/png;base64,") == report.count("![Figure ") == len(figures)
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert (table.groupby("model").size() == 100).all()
    found = pancseg(
        *("predict", tmp_path / "out", breast / "new.csv"),
        *("--outcome", breast / "new_clinical.csv", "--out", tmp_path / "new.csv"),
    )
    assert found.exit_code == 0, found.output
    assert "external validation, 100 patients" in found.output
    new = pd.read_csv(tmp_path / "new.csv")
    assert new["radiomics"].between(0, 1).all()
    assert list(new["id"][:2]) == ["P0", "P1"]
    from sklearn.metrics import roc_auc_score

    y = pd.read_csv(breast / "new_clinical.csv", sep=";")["label"] == "malignant"
    assert f"AUC {roc_auc_score(y, new['radiomics']):.3f}" in found.output


@pytest.mark.parametrize("model", ["elastic-net", "gradient-boosting"])
def test_the_same_seed_gives_the_same_bytes(breast, tmp_path, model):
    for name in ("a", "b"):
        assert fit_breast(breast, tmp_path / name, 0, model).exit_code == 0
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert "model.safetensors" in names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_survival_on_a_real_table(tmp_path):
    from lifelines.datasets import load_rossi

    data = load_rossi().iloc[:200].rename_axis("id").reset_index()
    data[["id", "age", "prio", "wexp", "paro"]].to_csv(tmp_path / "f.csv", index=False)
    data[["id", "week", "arrest", "fin"]].to_csv(tmp_path / "c.csv", index=False)
    result = pancseg(
        *("model", "survival", tmp_path / "f.csv", "--outcome", tmp_path / "c.csv"),
        *("--time", "week", "--event", "arrest", "--clinical", "fin"),
        *("--out", tmp_path / "out", "--canary", "0", *SHORT),
    )
    assert result.exit_code == 0, result.output
    report = (tmp_path / "out" / "report.md").read_text()
    assert "Harrell's C" in report
    assert "Hazard ratio, high against low" in report
    assert "log-rank p =" not in report
    assert "Powerless" not in report
    assert "clinical + radiomics" in report
    found = pancseg(
        *("predict", tmp_path / "out", tmp_path / "f.csv", "--outcome", tmp_path / "c.csv"),
        *("--out", tmp_path / "p.csv"),
    )
    assert found.exit_code == 0, found.output
    new = pd.read_csv(tmp_path / "p.csv")
    assert "clinical_and_radiomics" in new


def test_a_forest_of_survival_is_saved_and_judged_on_new_patients(tmp_path):
    random = np.random.default_rng(3)
    x = random.normal(size=(90, 4))
    time = random.exponential(np.where(np.abs(x[:, 0]) > 0.7, 1.0, 8.0)).round(3) + 0.001
    ids = [f"P{i // 2}_{i % 2}" for i in range(90)]
    table = pd.DataFrame(x, columns=list("abcd"), index=pd.Index(ids, name="id"))
    table.to_csv(tmp_path / "f.csv")
    clinical = pd.DataFrame({"id": ids, "patient": [n.split("_")[0] for n in ids]})
    clinical.assign(time=time, event=1).to_csv(tmp_path / "c.csv", index=False)
    result = pancseg(
        *("model", "survival", tmp_path / "f.csv", "--outcome", tmp_path / "c.csv"),
        *("--time", "time", "--event", "event", "--group", "patient", "--model", "random-forest"),
        *("--out", tmp_path / "out", "--canary", "0", *SHORT),
    )
    assert result.exit_code == 0, result.output
    folds = pd.read_csv(tmp_path / "out" / "folds.csv")
    assert (folds.groupby("group")["repeat_1"].nunique() == 1).all()
    assert folds["group"].nunique() == 45
    clear = (tmp_path / "out" / "CLEAR.md").read_text()
    assert sum(f"| {n}. " in clear for n in range(1, 59)) == 58
    assert "| 39. Performance measures and why these | done in part | measures and def" in clear
    assert "| 42. Comparison with other and combined methods | not done | nothing to comp" in clear
    report = (tmp_path / "out" / "report.md").read_text()
    assert "What radiomics adds" in report  # to the best single feature
    assert "| high | " in report
    assert "rows of" in report
    words = ["predict", tmp_path / "out", tmp_path / "f.csv", "--out", tmp_path / "p.csv"]
    found = pancseg(*words)
    assert found.exit_code == 0, found.output
    alone = (tmp_path / "p.csv").read_bytes()
    found = pancseg(*words, "--outcome", tmp_path / "c.csv")
    assert found.exit_code == 0, found.output
    assert (tmp_path / "p.csv").read_bytes() == alone
    assert "Uno's C" in found.output
    assert "calibration slope" in found.output
    clinical.assign(time=time, event=0).to_csv(tmp_path / "c.csv", index=False)
    refused = pancseg(*words, "--outcome", tmp_path / "c.csv")
    assert refused.exit_code == 1
    assert "no event in 90 patients" in refused.output


@pytest.mark.parametrize(
    ("clinical", "line"),
    [
        (lambda n: [(5.0, 0)] * n, "all 40 patients are censored"),
        (lambda n: [(i + 1.0, int(i < 4)) for i in range(n)], "4 events in 40 patients"),
        (lambda n: [(5.0, 1)] * n, "the outcome is constant"),
        (lambda n: [(i - 3.0, 1) for i in range(n)], "3 times are negative"),
        (lambda n: [(i + 1.0, 1 + i % 2) for i in range(n)], "the coding is ambiguous"),
    ],
)
def test_cohorts_that_carry_no_survival_model(tmp_path, clinical, line):
    x = np.random.default_rng(0).normal(size=(40, 3))
    pd.DataFrame(x, columns=list("abc")).rename_axis("id").to_csv(tmp_path / "f.csv")
    table = pd.DataFrame(clinical(40), columns=["time", "event"]).rename_axis("id")
    table.to_csv(tmp_path / "c.csv")
    result = pancseg(
        *("model", "survival", tmp_path / "f.csv", "--outcome", tmp_path / "c.csv"),
        *("--time", "time", "--event", "event", "--out", tmp_path / "out"),
    )
    assert result.exit_code == 2
    assert line in result.output
    assert not (tmp_path / "out").exists()


def test_three_patients_are_refused(tmp_path):
    (tmp_path / "f.csv").write_text("id,a\n1,2\n2,3\n3,5\n")
    (tmp_path / "c.csv").write_text("id,s\n1,x\n2,y\n3,y\n")
    result = pancseg(
        *("model", "subtype", tmp_path / "f.csv", "--outcome", tmp_path / "c.csv"),
        *("--label", "s", "--out", tmp_path / "out"),
    )
    assert result.exit_code == 2
    assert "the smaller class has 1 of 3 patients" in result.output


def test_a_refused_study_leaves_no_folder(breast, tmp_path):
    done = fit_breast(breast, tmp_path / "out", model="nosuch")
    assert done.exit_code == 2
    assert "'nosuch'" in done.stderr
    assert not (tmp_path / "out").exists()
