"""From a synthetic folder in Task07's exact layout to weights, masks and Table 2, by commands."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import yaml
from typer.testing import CliRunner

from pancseg import CohortError, read_scan, write_scan
from pancseg.cli import app
from pancseg.cohort.roi import as_roi
from pancseg.phantom import make_phantom
from pancseg.scans.arrays import image_like, label_array, voxel_array
from pancseg.scans.geometry import grid_difference_mm
from pancseg.segmentation.checkpoint import Preprocessing, load_checkpoint
from pancseg.training.data import cache
from pancseg.training.data.cache import build_cache
from pancseg.training.data.load import load_data, validation_names
from pancseg.training.data.pairs import manifest_pairs, msd_pairs, msd_provenance
from pancseg.training.data.split import read_split, split_patients
from pancseg.training.recipe import load_recipe

SMALL = Preprocessing(window_hu=(-150, 200), size=64)
RECIPE = {
    "size": 64,
    "batch_size": 4,
    "epochs": 6,
    "loss": "dice_ce",
    "schedule": "one_cycle",
    "learning_rate": 0.01,
    "head_start": 6,
    "batch_norm": "recomputed",
    "z_range": "label",
    "augmentation": {"shift": 0.05, "zoom": 0.1},
}


def write_task07(folder: Path, count: int) -> Path:
    """Write phantoms as MSD writes Task07: labels 1 (pancreas) and 2 (tumour), files numbered."""
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / name).mkdir(parents=True)
    entries = []
    for seed in range(1, count + 1):
        phantom = make_phantom(
            seed, size=(96, 96, 12), spacing_mm=(3.8, 3.8, 14.0), tumour=seed % 2 == 0
        )
        name = f"pancreas_{seed:03}.nii.gz"
        write_scan(phantom.image, folder / "imagesTr" / name)
        write_scan(phantom.mask, folder / "labelsTr" / name)
        entries.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    about = {
        "name": "PANCREAS",
        "description": "Pancreas and cancer",
        "reference": "Memorial Sloan Kettering Cancer Center ",
        "licence": "CC-BY-SA 4.0",
        "relase": "1.0 04/05/2018",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "pancreas", "2": "cancer"},
        "numTraining": count,
        "numTest": 0,
        "training": entries,
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


@pytest.fixture(scope="module")
def task07(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task07(tmp_path_factory.mktemp("msd") / "Task07_Pancreas", 6)


def command(task07: Path, out: Path) -> list[str]:
    plan = out.parent / "small.yaml"
    plan.write_text(yaml.safe_dump(RECIPE))
    options = {"--data": task07, "--out": out, "--threads": 1, "--precision": "32-true"}
    return ["train", str(plan), *(str(part) for pair in options.items() for part in pair)]


KILLED_IN_ITS_SECOND_EPOCH = """
import os, signal
from pancseg.cli import app
from pancseg.training.module import SliceSegmentation

step = SliceSegmentation.training_step

def training_step(self, batch, index):
    if self.current_epoch == 1 and index == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, index)

SliceSegmentation.training_step = training_step
app()
"""


def test_train_is_killed_goes_on_learns_and_is_evaluated(task07: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train = command(task07, out)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_ITS_SECOND_EPOCH, *train],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert (out / "last.ckpt").exists()
    begun = (out / "metrics.csv").read_text()
    result = CliRunner().invoke(app, train)
    assert result.exit_code == 0, result.output
    metrics = (out / "metrics.csv").read_text()
    assert metrics.startswith(begun.rsplit("\n", 2)[0])
    assert len(metrics.splitlines()) == 7
    losses = [float(line.split(",")[1]) for line in metrics.splitlines()[1:]]
    assert losses[-1] < 0.8 * losses[0]
    split = json.loads((out / "split.json").read_text())
    assert (len(split["train"]), len(split["val"])) == (4, 2)
    masks = sorted(path.name for path in (out / "predictions").glob("*.nii.gz"))
    assert masks == [f"{patient}.nii.gz" for patient in split["val"]]
    image = read_scan(task07 / "imagesTr" / masks[0])
    assert grid_difference_mm(image, read_scan(out / "predictions" / masks[0])) < 1e-3
    assert load_checkpoint(out / "last.safetensors").provenance["licence"] == "CC-BY-SA 4.0"

    told = ["--prediction", f"MoNet={out / 'predictions'}", "--reference", str(out / "references")]
    result = CliRunner().invoke(app, ["evaluate", *told, "--out", str(tmp_path / "table")])
    assert result.exit_code == 0, result.output
    cases = (tmp_path / "table" / "cases.csv").read_text().splitlines()
    assert len(cases) == 3
    dice = [float(line.split(",")[cases[0].split(",").index("dice")]) for line in cases[1:]]
    assert np.mean(dice) > 0.15  # of whole volumes, after six short epochs; by chance: 0.02


def test_two_processes_train_together_and_one_writes(task07: Path, tmp_path: Path) -> None:
    """Lightning's way to use several devices, here on the CPU."""
    plan = tmp_path / "short.yaml"
    plan.write_text(yaml.safe_dump({**RECIPE, "batch_size": 2, "epochs": 2, "keep": "mean"}))
    options = {"--data": task07, "--out": tmp_path / "run", "--accelerator": "cpu", "--devices": 2}
    words = [str(part) for pair in options.items() for part in pair]
    done = subprocess.run(
        [sys.executable, "-m", "pancseg", "train", str(plan), *words, "--threads", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2/2: ") == 1
    rates = [float(line.rsplit(",", 1)[1]) for line in _lines(tmp_path / "run" / "metrics.csv")]
    assert rates[0] > 0.1 * RECIPE["learning_rate"]  # type: ignore[operator]
    assert rates[1] < 0.05 * RECIPE["learning_rate"]  # type: ignore[operator]  # the cycle's end
    assert done.stdout.count("pancreas_001: slices ready") == 1
    assert len(list((tmp_path / "run" / "predictions").glob("*.nii.gz"))) == 2


def _lines(metrics: Path) -> list[str]:
    return metrics.read_text().splitlines()[1:]


def test_the_published_split_has_196_and_85_patients() -> None:
    ids = [f"pancreas_{n:03}" for n in range(281)]
    split = split_patients(reversed(ids), seed=2009)
    assert (len(split.train), len(split.val)) == (196, 85)
    assert not set(split.train) & set(split.val)
    assert split == split_patients(ids, seed=2009) != split_patients(ids, seed=1)


def test_a_split_file_is_held_against_the_data(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    split_patients("abcdef", seed=1).write(path)
    assert read_split(path, "abcdefg") == split_patients("abcdef", seed=1)
    with pytest.raises(ValueError, match="the split file: patients that the data lack: f"):
        read_split(path, "abcde")
    path.write_text('{"train": ["a"], "val": ["a"]}')
    with pytest.raises(ValueError, match="in both train and val: a; keep each in one"):
        read_split(path, "ab")
    path.write_text("train: a")
    with pytest.raises(ValueError, match="is not a split file"):
        read_split(path, "ab")


def test_the_cache_is_made_once_and_renewed_for_a_changed_file(
    task07: Path, tmp_path: Path
) -> None:
    pairs = msd_pairs(task07)[:2]
    first = build_cache(pairs, tmp_path, SMALL)
    assert isinstance(first[0].voxels, np.memmap)
    assert first[0].voxels.shape == (12, 2, 64, 64)
    assert first[1].voxels[:, 1].max() == 1  # pancreas and tumour are one
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    build_cache(pairs, tmp_path, SMALL)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    os.utime(pairs[0].mask)
    build_cache(pairs, tmp_path, SMALL)
    changed = [path for path in files if path.stat().st_mtime_ns != files[path]]
    assert [path.name for path in changed] == ["pancreas_001.npy"]
    next(tmp_path.rglob("pancreas_002.json")).write_text("{")  # as if the disk had been full
    assert build_cache(pairs, tmp_path, SMALL)[1].sha256 == first[1].sha256
    mirrored = read_scan(pairs[1].image)
    write_scan(image_like(voxel_array(mirrored)[:, :, ::-1], mirrored), tmp_path / "other.nii")
    twin = Path(shutil.copy2(tmp_path / "other.nii", tmp_path / "twin.nii"))
    write_scan(mirrored, twin)
    times = (tmp_path / "other.nii").stat()
    os.utime(twin, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert twin.stat().st_size == times.st_size
    hashes = [
        build_cache([replace(pairs[1], image=image)], tmp_path, SMALL)[0].sha256
        for image in (tmp_path / "other.nii", twin)
    ]
    assert hashes[0] != hashes[1] == first[1].sha256


def test_many_files_may_be_mapped_at_once() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 900), before[1]))
        cache._allow_open_files(700)
        wanted = 700 + cache._OTHER_FILES
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(wanted, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_slices_around_the_label_and_a_share_of_the_others(task07: Path, tmp_path: Path) -> None:
    label, whole = (
        load_data(load_recipe("monet_paper", size=64, z_range=z), task07, cache=tmp_path)
        for z in ("label", "all")
    )
    assert len(whole.slices) == 6 * 12
    assert 0 < len(label.slices) < len(whole.slices)
    assert {s.source for s in whole.slices if not s.mask.any()} == {1}
    assert label.fingerprint() != whole.fingerprint()


def test_masks_that_do_not_fit_are_all_named(task07: Path, tmp_path: Path) -> None:
    pairs = msd_pairs(task07)
    other = make_phantom(1, size=(90, 96, 12), spacing_mm=(3.9, 3.8, 14.0)).mask
    write_scan(other, tmp_path / "small.nii.gz")
    text = "patient_id,image,mask\n"
    for name, mask in (("one", tmp_path / "small.nii.gz"), ("two", pairs[1].mask)):
        text += f"{name},{pairs[1].image},{mask}\n"
    (tmp_path / "cut.nii.gz").write_bytes(pairs[2].mask.read_bytes()[:-200])
    text += f"three,{pairs[2].image},{tmp_path / 'cut.nii.gz'}\n"
    (tmp_path / "no slices").mkdir()
    text += f"four,{pairs[2].image},{tmp_path / 'gone.nii.gz'}\n"
    text += f"five,{tmp_path / 'no slices'},{pairs[2].mask}\n"
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(CohortError) as caught:
        build_cache(manifest_pairs(tmp_path / "manifest.csv"), tmp_path / "cache", SMALL)
    first, second, third, fourth = caught.value.problems
    assert first.startswith("one: scan and mask are on different grids (96×96×12")
    assert second.startswith("three: the file is truncated: ")
    assert third == "four: the file does not exist or cannot be reached"
    assert fourth.startswith("five: no DICOM series in the folder (it holds 0 files")


def manifest(folder: Path, *rows: str, columns: str = "") -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([f"patient_id,scan_id,image,mask{columns}", *rows]) + "\n")
    return path


def test_scans_of_one_patient_stay_together(task07: Path, tmp_path: Path) -> None:
    rows = [
        f"P{number // 2},s{number},{pair.image},{pair.mask}"
        for number, pair in enumerate(msd_pairs(task07))
    ]
    path = manifest(tmp_path, *rows)
    for seed in range(4):
        plan = load_recipe("monet_paper", size=64, seed=seed)
        data = load_data(plan, path, cache=tmp_path / "cache")
        sides = [{s.patient for s in data.slices if s.split == part} for part in ("train", "val")]
        assert sides[0] | sides[1] == {"P0", "P1", "P2"}
        assert not sides[0] & sides[1]
        (held_out,) = sides[1]
        number = int(held_out[1])
        assert validation_names(data) == [f"P{number}_s{2 * number + i}" for i in range(2)]


def test_a_manifests_label_counts_and_unclear_masks_are_refused(
    task07: Path, tmp_path: Path
) -> None:
    pair = msd_pairs(task07)[1]  # labels 1 and 2
    labels = label_array(read_scan(pair.mask))

    def cached(label: str) -> int:
        row = f"P,,{pair.image},{pair.mask},{label}"
        (found,) = build_cache(
            manifest_pairs(manifest(tmp_path, row, columns=",mask_label")), tmp_path, SMALL
        )
        return int(found.voxels[:, 1].sum())

    assert 0 < cached("2") < cached("1+2") == cached("")
    assert cached("1") < cached("1+2")
    mask = read_scan(pair.mask)
    others = {"many": labels * 3, "empty": labels * 0}
    rows = []
    for name, voxels in others.items():
        write_scan(image_like(voxels.astype(np.uint8), mask), tmp_path / f"{name}.nii.gz")
        rows.append(f"{name},,{pair.image},{tmp_path / name}.nii.gz")
    with pytest.raises(CohortError) as caught:
        build_cache(manifest_pairs(manifest(tmp_path, *rows)), tmp_path, SMALL)
    first, second = caught.value.problems
    assert first == "many: the mask has labels 3, 6; name one by mask_label in a manifest"
    assert second.startswith("empty: none of the mask's")
    twice = [f"P,,{pair.image},{pair.mask},{roi}" for roi in ("head", "tail")]
    with pytest.raises(CohortError, match="P: listed 2 times; training takes one region"):
        manifest_pairs(manifest(tmp_path, *twice, columns=",roi"))


@pytest.mark.parametrize(
    ("names", "extra", "problem"),
    [
        ({"1": "pancreas", "2": "cancer"}, False, None),
        ({"1": "pancreas", "2": "cancer", "3": "duodenum"}, False, None),
        (
            {"1": "pancreas", "2": "cancer"},
            True,
            "but pancreas (1), cancer (2), 3 (3); name one by mask_label in a manifest",
        ),
        ({"1": "liver", "2": "spleen"}, False, "no segment pancreas, but liver (1), spleen (2);"),
        ({}, True, "the mask has labels 1, 2, 3; name one by mask_label in a manifest"),
    ],
)
def test_other_organs_of_an_msd_folder_are_no_pancreas(
    names: dict[str, str], extra: bool, problem: str | None, task07: Path, tmp_path: Path
) -> None:
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
        shutil.copy(task07 / part / "pancreas_002.nii.gz", tmp_path / part / "P.nii.gz")
    mask = read_scan(tmp_path / "labelsTr" / "P.nii.gz")
    labels = label_array(mask).astype(np.uint8)
    labels[0, :4, :4] = 3 * extra
    write_scan(image_like(labels, mask), tmp_path / "labelsTr" / "P.nii.gz")
    entry = {"image": "./imagesTr/P.nii.gz", "label": "./labelsTr/P.nii.gz"}
    about = {"labels": {"0": "background", **names}, "training": [entry]}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    (pair,) = msd_pairs(tmp_path)
    if problem is not None:
        with pytest.raises(CohortError) as caught:
            build_cache([pair], tmp_path, SMALL)
        assert problem in str(caught.value)
        return
    (found,) = build_cache([pair], tmp_path, SMALL)
    both = replace(pair, region=as_roi("1+2"))
    (wanted,) = build_cache([both], tmp_path / "again", SMALL)
    assert np.array_equal(found.voxels, wanted.voxels)
    assert found.voxels[:, 1].any()


def test_only_what_is_ready_is_called_ready(task07: Path, tmp_path: Path) -> None:
    good, other = msd_pairs(task07)[:2]
    (tmp_path / "cut.nii.gz").write_bytes(other.mask.read_bytes()[:-200])
    bad = replace(other, mask=tmp_path / "cut.nii.gz")
    ready: list[str] = []
    with pytest.raises(CohortError, match="pancreas_002: the file is truncated"):
        build_cache([good, bad], tmp_path, SMALL, ready.append)
    assert ready == ["pancreas_001"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["train", "nothing", "--data", "."], "the recipes attention_unet_paper, monet"),
        (["train", "monet", "--data", "."], "neither an MSD folder"),
        (["train", "monet", "--data", ".", "--slices", "x"], "the slice sets open, open_nih"),
        (["train", "monet", "--data", ".", "--network", "x"], "no network 'x'; known: monet, unet"),
        (["train", "monet", "--data", ".", "--slices", "open_nih"], "has no nih_pancreas_ct/"),
    ],
)
def test_bad_input_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*arguments, "--out", "run"])
    assert result.exit_code == 2
    assert problem in result.output
    assert result.output.count("\n") == 1


def test_an_msd_folder_with_a_missing_file_names_it(tmp_path: Path) -> None:
    folder = write_task07(tmp_path / "Task07_Pancreas", 2)
    (folder / "labelsTr" / "pancreas_002.nii.gz").unlink()
    with pytest.raises(CohortError, match="pancreas_002: the label that dataset"):
        msd_pairs(folder)
    (folder / "dataset.json").write_text('{"training": 3}')
    with pytest.raises(CohortError, match=r"dataset\.json does not list"):
        msd_pairs(folder)


def test_an_msd_folder_may_be_listed_as_on_windows(tmp_path: Path) -> None:
    folder = write_task07(tmp_path / "Task07_Pancreas", 2)
    text = (folder / "dataset.json").read_text()
    expected = msd_pairs(folder)
    windows = text.replace("imagesTr/", "imagesTr\\\\").replace("labelsTr/", "labelsTr\\\\")
    assert windows.count("\\") == 8
    (folder / "dataset.json").write_text(windows, encoding="utf-8-sig")
    assert msd_pairs(folder) == expected
    assert msd_provenance(folder)["data"] == "PANCREAS: Pancreas and cancer"


def test_labels_are_those_of_task07(task07: Path) -> None:
    label = sitk.GetArrayFromImage(sitk.ReadImage(task07 / "labelsTr" / "pancreas_002.nii.gz"))
    assert set(np.unique(label)) == {0, 1, 2}
