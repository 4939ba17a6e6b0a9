"""The command, from folders of masks to tables, report and plot; real masks against MONAI."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice
from typer.testing import CliRunner

from pancseg import write_scan
from pancseg.cli import app
from pancseg.evaluation import markdown, published, tables

FILES = [
    "cases.csv",
    "comparisons.csv",
    "dice.png",
    "evaluation.html",
    "evaluation.md",
    "summary.csv",
    "table2.csv",
    "table2.md",
]
CASES = ("021", "045", "092")
GOLDEN = Path(__file__).parent / "evalseg_monai.csv"
NETWORKS = ("CE", "Dice", "DiceTopK10", "GDice")


def call(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def write_masks(folder: Path, **boxes: tuple[slice, slice, slice] | None) -> Path:
    """Write one mask per case: a box, or nothing."""
    folder.mkdir(parents=True)
    for name, box in boxes.items():
        voxels = np.zeros((8, 20, 20), dtype=np.uint8)
        if box is not None:
            voxels[box] = 1
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing((0.8, 0.8, 2.5))
        write_scan(image, folder / f"{name}.nii.gz")
    return folder


def box(shift: int = 0) -> tuple[slice, slice, slice]:
    return slice(2, 6), slice(4 + shift, 14 + shift), slice(5, 15)


@pytest.fixture
def cohort(tmp_path: Path) -> dict[str, Path]:
    """Four reference masks (one empty), a model that lacks one, and a model that has all."""
    every = {name: box() for name in ("p1", "p2", "p3")}
    return {
        "reference": write_masks(tmp_path / "reference", **every, p4=None),
        "MoNet": write_masks(tmp_path / "a", p1=box(), p2=box(1), p3=box(2), p4=None),
        "U-Net": write_masks(tmp_path / "b", p1=box(2), p2=None, p4=box(), p5=box()),
    }


def options(folders: dict[str, Path], out: Path) -> list[str | Path]:
    found: list[str | Path] = ["--reference", folders["reference"], "--out", out]
    for name, folder in folders.items():
        found += ["--prediction", f"{name}={folder}"] if name != "reference" else []
    return found


@pytest.fixture
def evalseg(data: Path, tmp_path: Path) -> dict[str, Path]:
    """Folders of three real reference masks and of four networks' masks of them."""
    source = data / "evalseg_pancreas"
    for name in ("GroundTruth", *NETWORKS):
        (tmp_path / name).mkdir()
        for case in CASES:
            shutil.copy(source / f"{case}_{name}.nii.gz", tmp_path / name / f"{case}.nii.gz")
    return {"reference": tmp_path / "GroundTruth", **{n: tmp_path / n for n in NETWORKS}}


def test_real_masks_agree_with_monai_on_whole_volumes(
    evalseg: dict[str, Path], tmp_path: Path
) -> None:
    """Golden: MONAI 1.6.1's three functions on whole volumes, as :func:`monai_measures` calls them.

    They were made for all twelve; two are computed here again, which takes seconds.
    """
    code, out, err = call(*options(evalseg, tmp_path / "out"))
    assert (code, err) == (0, "")
    assert "12 of 12 masks compared" in out
    ids = ["model", "case_id"]
    found = pd.read_csv(tmp_path / "out" / "cases.csv", dtype={"case_id": str}).set_index(ids)
    golden = pd.read_csv(GOLDEN, dtype={"case_id": str}).set_index(ids)
    assert found["dice"].between(0.685, 0.905).all()
    pd.testing.assert_frame_equal(found[golden.columns], golden, rtol=0, atol=1e-5)
    for model in ("CE", "DiceTopK10"):
        files = [evalseg[name] / "045.nii.gz" for name in (model, "reference")]
        row = found.loc[(model, "045")]
        assert row[golden.columns].tolist() == pytest.approx(monai_measures(*files), abs=1e-6)
        ours, truth = (sitk.ReadImage(file) for file in files)
        voxels = [np.count_nonzero(sitk.GetArrayViewFromImage(image)) for image in (ours, truth)]
        assert row["volume_error_percent"] == pytest.approx(100 * (voxels[0] / voxels[1] - 1))
        assert row["volume_ml"] == pytest.approx(voxels[0] * np.prod(ours.GetSpacing()) / 1000)


def test_a_label_that_no_reference_has_is_refused(cohort: dict[str, Path], tmp_path: Path) -> None:
    code, _, err = call(*options(cohort, tmp_path / "out"), "--label", "7", "--quiet")
    assert code == 2
    assert "both_empty): both masks are empty: the prediction has no voxel of label 7 (it" in err
    assert "pancseg: none of the reference masks has label 7" in err.splitlines()[-1]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("score_pairs", "interrupted after 0 of 2; nothing was written"),
        ("write_whole", "interrupted after 2 of 2; the report may be incomplete; run again"),
    ],
)
def test_an_interruption_says_that_nothing_was_written_only_if_that_is_so(
    step: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    masks = {name: write_masks(tmp_path / name, P1=box()) for name in ("reference", "A", "B")}
    monkeypatch.setattr(f"pancseg.evaluation.evaluate.{step}", stop)
    code, _, err = call(*options(masks, tmp_path / "out"), "--quiet")
    assert (code, err) == (130, f"pancseg: {said}\n")


def monai_measures(prediction: Path, reference: Path) -> list[float]:
    """Return Dice, HD95 and surface Dice as MONAI computes them on the whole volumes."""
    images = [sitk.ReadImage(path) for path in (prediction, reference)]
    whole = [torch.from_numpy(sitk.GetArrayFromImage(i) != 0)[None, None] for i in images]
    spacing = images[1].GetSpacing()[::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI's about itself
        found = (
            compute_dice(*whole, include_background=True),
            compute_hausdorff_distance(*whole, True, percentile=95, spacing=spacing),
            compute_surface_dice(*whole, [2.0], True, spacing=spacing),
        )
    return [float(value) for value in found]


def test_missing_and_empty_masks_are_listed_never_dropped(
    cohort: dict[str, Path], tmp_path: Path
) -> None:
    code, out, err = call(*options(cohort, tmp_path / "out"))
    assert code == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES
    frame = pd.read_csv(tmp_path / "out" / "cases.csv", keep_default_na=False)
    rows = {(r.model, r.case_id): (r.status, r.reason) for r in frame.itertuples()}
    assert rows == {
        ("MoNet", "p1"): ("pass", ""),
        ("MoNet", "p2"): ("pass", ""),
        ("MoNet", "p3"): ("pass", ""),
        ("MoNet", "p4"): ("warn", "both_empty"),
        ("U-Net", "p1"): ("pass", ""),
        ("U-Net", "p2"): ("warn", "empty_prediction"),
        ("U-Net", "p3"): ("fail", "no_prediction"),
        ("U-Net", "p4"): ("warn", "empty_reference"),
        ("U-Net", "p5"): ("fail", "no_reference"),
    }
    assert "p3, U-Net: fail (no_prediction): U-Net has no mask of this case" in err
    assert "p5, U-Net: fail (no_reference): the reference folder has no mask of this case" in err
    assert "no_prediction: 1" in out
    page = (tmp_path / "out" / "evaluation.md").read_text("utf-8")
    assert "| U-Net | p3 | no_prediction | U-Net has no mask of this case;" in page
    assert "| U-Net | p5 | no_reference |" in page
    assert (
        "| p2 | empty_prediction | the prediction has no voxel; the reference has 0.6 mL;" in page
    )
    assert "One of them empty: Dice 0, surface Dice 0, HD95 missing" in page
    shown = (tmp_path / "out" / "evaluation.html").read_text("utf-8")
    assert "<td>no_prediction</td>\n<td>U-Net has no mask of this case;" in shown
    assert shown.count('<img src="data:image/png;base64,') == 1
    summary = pd.read_csv(tmp_path / "out" / "summary.csv").set_index(["model", "measure"])
    assert summary.loc[("U-Net", "dice"), ["n", "n_missing"]].tolist() == [3, 2]
    assert summary.loc[("U-Net", "hd95_mm"), ["n", "n_missing"]].tolist() == [1, 4]
    assert summary.loc[("MoNet", "dice"), "n"] == 4
    comparisons = pd.read_csv(tmp_path / "out" / "comparisons.csv").set_index("measure")
    assert comparisons.loc["dice", "n"] == 3  # p1, p2, p4
    assert comparisons.loc["hd95_mm", "reason"] == "few_cases"
    texts = [(tmp_path / "out" / n).read_text("utf-8") for n in FILES if n.endswith("csv")]
    everything = "".join([out, err, page, *texts])
    assert str(tmp_path) not in everything.replace(str(tmp_path / "out"), "")


def test_table_2_has_the_papers_shape(cohort: dict[str, Path], tmp_path: Path) -> None:
    call(*options(cohort, tmp_path / "out"), "--quiet", "--published")
    table = pd.read_csv(tmp_path / "out" / "table2.csv")
    assert table["network"].tolist() == ["MoNet", "U-Net"]
    assert table["parameters"].tolist() == [403556, 31054145]
    assert table["compared_with"].fillna("").tolist() == ["", "MoNet"]
    head, _, first, *_ = (tmp_path / "out" / "table2.md").read_text("utf-8").splitlines()
    assert head.startswith("| network | parameters | n | Dice, mean ± std | as published")
    assert head.count("t-test p") == 1
    assert first.startswith("| MoNet | 403,556 | 4 | ")


def test_the_papers_figures_are_shown_only_when_asked_for(
    cohort: dict[str, Path], tmp_path: Path
) -> None:
    _, without, _ = call(*options(cohort, tmp_path / "without"))
    texts = [without]
    texts += [
        (tmp_path / "without" / name).read_text("utf-8")
        for name in FILES
        if not name.endswith("png")
    ]
    for figure in ("as published", "published_dice", "parameters", "403"):
        assert not [text for text in texts if figure in text], figure
    head = (tmp_path / "without" / "table2.md").read_text("utf-8").splitlines()[0]
    assert head.startswith("| network | n | Dice, mean ± std | t-test p")
    _, out, _ = call(*options(cohort, tmp_path / "out"), "--published")
    table = pd.read_csv(tmp_path / "out" / "table2.csv")
    assert table["published_dice_mean"].tolist() == [0.74, 0.70]
    assert table["published_dice_std"].tolist() == [0.11, 0.15]
    text = (tmp_path / "out" / "table2.md").read_text("utf-8")
    assert "| as published (MSD, n = 85) |" in text
    assert "| 0.74 ± 0.11 |" in text
    assert text.strip() in out


def test_models_keep_the_order_they_were_given_in(tmp_path: Path) -> None:
    folders = {
        "reference": write_masks(tmp_path / "r", p1=box()),
        "Z": write_masks(tmp_path / "z", p1=box()),
        "A": write_masks(tmp_path / "a", p0=box(), p1=box(1)),  # p0 comes first, and Z lacks it
    }
    call(*options(folders, tmp_path / "out"), "--quiet")
    for table, column in (("cases.csv", "model"), ("table2.csv", "network")):
        found = pd.read_csv(tmp_path / "out" / table)[column].unique().tolist()
        assert found == ["Z", "A"]


def test_the_same_masks_give_the_same_bytes(cohort: dict[str, Path], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    call(*options(cohort, first), "--quiet")
    call(*options(cohort, second), "--quiet")
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes()
        assert b"\r" not in (first / name).read_bytes() or name.endswith("png")
    frame = pd.read_csv(first / "cases.csv", float_precision="round_trip")
    assert tables.csv(frame) == (first / "cases.csv").read_text("utf-8")


def test_one_model_alone_has_no_comparisons(cohort: dict[str, Path], tmp_path: Path) -> None:
    del cohort["U-Net"]
    code, out, _ = call(*options(cohort, tmp_path / "out"))
    assert code == 0
    assert "4 of 4 masks compared" in out
    assert len((tmp_path / "out" / "comparisons.csv").read_text().splitlines()) == 1
    assert "There is one model only" in (tmp_path / "out" / "evaluation.md").read_text("utf-8")


def test_a_cohort_without_a_usable_case_still_gives_every_file(tmp_path: Path) -> None:
    folders = {
        "reference": write_masks(tmp_path / "r", p1=box()),
        "A": write_masks(tmp_path / "a", p2=box()),
        "B": write_masks(tmp_path / "b", p3=box()),
    }
    code, out, err = call(*options(folders, tmp_path / "out"), "--quiet")
    assert (code, out) == (1, "")
    assert err.count("\n") == 4
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prediction", "A"], "--prediction 'A': expected NAME=FOLDER"),
        (["--prediction", "=a"], "--prediction '=a': expected NAME=FOLDER"),
        (["--prediction", "a/b=a"], "the name 'a/b' has other characters"),
        (["--prediction", "A=a", "--prediction", "a=a"], "'a' is given twice"),
        (["--prediction", "A=gone"], "prediction A: the folder does not exist"),
        (["--prediction", "A=empty"], "prediction A: the folder contains no mask"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_masks(tmp_path / "a", p1=box())
    (tmp_path / "empty").mkdir()
    code, out, err = call(*arguments, "--reference", "a", "--out", "o")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_an_output_that_cannot_be_written_is_one_line_and_exit_2(
    cohort: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, err = call(*options(cohort, tmp_path / "file"))
    assert code == 2
    assert err.startswith("pancseg: the output cannot be written")


def test_without_the_extra_one_line_says_what_to_install(
    cohort: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pancseg.cli.errors.find_spec", lambda name: None)
    code, out, err = call(*options(cohort, tmp_path / "out"))
    assert (code, out) == (2, "")
    assert (
        err
        == "pancseg: evaluate needs matplotlib, monai; install with pip install 'pancseg[train]'\n"
    )


def test_names_of_the_papers_networks_are_found() -> None:
    assert published.published_name("attention u-net") == "attention_unet"
    assert published.published_name("U-Net-16") == "unet16"
    assert published.parameters_of("U-Net-64") is None
    assert published.parameters_of("MoNet") == 403556


def test_missing_and_small_numbers_are_shown_as_such() -> None:
    assert markdown.p_value(0.0004) == "< 0.001"
    assert markdown.p_value(float("nan")) == markdown.mean_std(float("nan"), float("nan"), 2) == "–"
