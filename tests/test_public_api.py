"""The public face: ``import pancseg`` and nothing else of the package."""

from __future__ import annotations

import ast
import doctest
import inspect
import itertools
import math
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from conftest import ROOT

import pancseg

Phantom, make_phantom = pancseg.phantom.Phantom, pancseg.phantom.make_phantom
PHANTOMS = "monet_phantom"
NO_MODE = pancseg.FeatureSettings(name="n", mode="x", parameters={})


@pytest.fixture(scope="module")
def small() -> Phantom:
    return make_phantom(3, size=(96, 96, 32), spacing_mm=(3.6, 3.6, 5.0))


@pytest.fixture(scope="module")
def segmenter() -> pancseg.Segmenter:
    return pancseg.load_segmenter(PHANTOMS, threads=2)


def voxels(image: sitk.Image) -> np.ndarray[Any, Any]:
    return sitk.GetArrayFromImage(image)


# The names


def test_names_are_there_and_typed_as_they_are_imported() -> None:
    assert sorted(pancseg.__all__) == pancseg.__all__ == sorted(set(pancseg.__all__))
    for name in pancseg.__all__:
        assert getattr(pancseg, name).__name__ == name
        assert name in dir(pancseg)
    tree = ast.parse((ROOT / "pancseg" / "__init__.py").read_text(encoding="utf-8"))
    typed = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == {name: f"pancseg.{home}" for name, home in pancseg._HOME_OF.items()}
    assert sorted(typed) == pancseg.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'read_scans'"):
        pancseg.read_scans  # noqa: B018


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("MoNet", "torch", "torch"),
        ("evaluate_masks", "monai", "train"),
        ("fit_model", "matplotlib", "model"),
    ],
)
def test_a_name_whose_extra_is_missing_says_which(name: str, package: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"  # as if it were not installed
        f"import pancseg; pancseg.{name}"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    line = ended.stderr.strip().splitlines()[-1]
    assert line.startswith(f"ImportError: pancseg.{name} needs the package {package}")
    assert line.endswith(f"pip install 'pancseg[{extra}]'")


@pytest.mark.parametrize(
    ("statement", "without"),
    [
        ("import pancseg", {"torch", "SimpleITK", "numpy", "pandas", "radiomics", "typer"}),
        ("import pancseg; pancseg.read_scan", {"torch", "radiomics", "pandas", "sklearn"}),
        ("import pancseg; pancseg.segmentation; pancseg.cohort; dir(pancseg)", {"torch", "numpy"}),
        ("import pancseg; pancseg.load_segmenter; pancseg.run_cohort", {"torch", "radiomics"}),
    ],
)
def test_importing_is_light(statement: str, without: set[str]) -> None:
    code = f"import sys; {statement}; found = {without} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_docstring_has_an_example() -> None:
    """Which ``test_docstrings.py`` runs."""
    for name in pancseg.__all__:
        text = inspect.getdoc(getattr(pancseg, name)) or ""
        examples = doctest.DocTestParser().get_examples(text)
        assert examples, f"{name} has no example"
        assert not any("SKIP" in example.source for example in examples), name


# The front door for data


def as_given(small: Phantom, folder: Path) -> dict[str, tuple[Any, dict[str, Any]]]:
    """The same scan in every way in which a caller may have it."""
    image, array = small.image, voxels(small.image)
    pancseg.write_scan(image, folder / "scan.nii.gz")
    geometry = {
        "spacing": image.GetSpacing(),
        "origin": image.GetOrigin(),
        "direction": image.GetDirection(),
    }
    return {
        "text": (str(folder / "scan.nii.gz"), {}),
        "path": (folder / "scan.nii.gz", {}),
        "SimpleITK": (image, {}),
        "nibabel": (nibabel.load(folder / "scan.nii.gz"), {}),
        "NumPy": (array, geometry),
        "NumPy, not contiguous": (np.asfortranarray(array), geometry),
        "big-endian": (array.astype(">i2"), geometry),
        "torch": (torch.from_numpy(array), geometry),
    }


def test_a_scan_may_come_in_every_way(
    small: Phantom, segmenter: pancseg.Segmenter, tmp_path: Path
) -> None:
    few = Phantom(*(image[:, :, 10:24] for image in small))
    expected = segmenter.segment(few.image)
    assert voxels(expected).any()
    given = as_given(few, tmp_path)
    for way in ("path", "nibabel", "NumPy", "torch"):  # the others: as features, which is quicker
        scan, geometry = given[way]
        mask = segmenter.segment(scan, **geometry)
        assert (voxels(mask) == voxels(expected)).all(), way
        assert mask.GetSpacing() == pytest.approx(expected.GetSpacing()), way
        assert mask.GetOrigin() == pytest.approx(expected.GetOrigin(), abs=1e-4), way
        assert mask.GetDirection() == pytest.approx(expected.GetDirection()), way


def test_features_do_not_depend_on_how_scan_and_mask_come(small: Phantom, tmp_path: Path) -> None:
    settings = "pyradiomics_default"
    mask = sitk.Cast(small.mask != 0, sitk.sitkUInt8)
    expected = pancseg.extract_features(small.image, mask, settings)
    pancseg.write_scan(mask, tmp_path / "mask.nii.gz")
    masks = {
        "path": tmp_path / "mask.nii.gz",
        "nibabel": nibabel.load(tmp_path / "mask.nii.gz"),
        "NumPy": voxels(mask),
        "bool": voxels(mask) > 0,
        "torch": torch.from_numpy(voxels(mask)),
    }
    others = itertools.cycle([way for way in masks if way != "path"])
    for way, (scan, geometry) in as_given(small, tmp_path).items():
        for mask_way in ("path", next(others)):
            found = pancseg.extract_features(scan, masks[mask_way], settings, **geometry)
            assert found == pytest.approx(expected, rel=1e-5), (way, mask_way)


def test_a_reflected_nibabel_affine_is_kept(small: Phantom, segmenter: pancseg.Segmenter) -> None:
    """An array as nibabel has it, axes to the right, to the back and up: voxels stay in mm."""
    turned = sitk.DICOMOrient(small.image, "RPS")
    columns = np.reshape(turned.GetDirection(), (3, 3)) * turned.GetSpacing()
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ columns
    affine[:3, 3] = np.diag([-1, -1, 1]) @ turned.GetOrigin()
    mask = segmenter.segment(nibabel.Nifti1Image(voxels(turned).T, affine))
    back = sitk.DICOMOrient(mask, "LPS")
    upright = sitk.DICOMOrient(segmenter.segment(small.image), "LPS")
    assert (voxels(back) == voxels(upright)).all()


@pytest.mark.parametrize(
    ("scan", "geometry", "error", "line"),
    [
        (7, {}, TypeError, "int is not a volume; give a path, a SimpleITK.Image, a nibabel image"),
        (None, {}, TypeError, "NoneType is not a volume"),
        (np.zeros((4, 5, 6)), {}, TypeError, r"needs spacing=\(x, y, z\) in mm"),
        ("scan.nii.gz", {"spacing": (1, 1, 1)}, TypeError, "only arrays take a geometry"),
        (
            np.zeros((4, 5, 6)),
            {"spacing": (1, 1)},
            ValueError,
            "spacing: expected 3 finite",
        ),
        (np.zeros((4, 5, 6)), {"spacing": (1, 0, 1)}, ValueError, "is impossible"),
        (
            np.zeros((4, 5, 6)),
            {"spacing": (1, 1, 1), "direction": (1, 1, 0, 0, 1, 0, 0, 0, 1)},
            ValueError,
            "not at right angles",
        ),
        (np.zeros((4, 5)), {"spacing": (1, 1, 1)}, pancseg.UnusableCase, "2 axes"),
        (np.full((4, 5, 6), np.nan), {"spacing": (1, 1, 1)}, pancseg.UnusableCase, "not finite"),
        (np.array([[["a"]]]), {"spacing": (1, 1, 1)}, TypeError, "is not a volume; give numbers"),
        (sitk.Image(4, 5, sitk.sitkInt16), {}, pancseg.UnusableCase, "2 axes"),
        (sitk.Image([4, 5, 6], sitk.sitkVectorUInt8), {}, pancseg.UnusableCase, "per voxel"),
    ],
)
def test_what_is_no_volume_is_refused_with_what_is(
    scan: Any, geometry: dict[str, Any], error: type[Exception], line: str
) -> None:
    with pytest.raises(error, match=line):
        pancseg.judge_scan(scan, **geometry)


def with_nan(image: sitk.Image) -> sitk.Image:
    array = voxels(image).astype(np.float32)
    array[5, 40:50, 40:50] = np.nan
    broken = sitk.GetImageFromArray(array)
    broken.CopyInformation(image)
    return broken


def test_a_region_is_judged_where_it_lies(small: Phantom) -> None:
    """Re-ordered where its axes run otherwise; refused on another grid or as fractions."""
    expected = pancseg.judge_region(small.image, small.mask).values
    turned = sitk.Flip(small.mask, (True, True, False))
    assert pancseg.judge_region(small.image, turned).values == expected
    for wrong, code in (
        (small.mask[:, :, :20], "geometry"),
        (voxels(small.mask) * 0.5, "not_labels"),
        (with_nan(small.mask), "not_labels"),
    ):
        with pytest.raises(pancseg.UnusableCase) as caught:
            pancseg.judge_region(small.image, wrong)
        assert caught.value.code == code


def test_values_that_are_not_finite_are_refused_in_images_too(
    small: Phantom, segmenter: pancseg.Segmenter
) -> None:
    with pytest.raises(pancseg.UnusableCase, match="100 voxels are not finite") as caught:
        segmenter.segment(with_nan(small.image))
    assert caught.value.code == "not_hu"
    row = pancseg.measure(small.image, with_nan(small.mask), "pyradiomics_default")
    assert row["qc_reasons"] == "thick_slices;not_labels"


def test_a_nibabel_image_that_contradicts_itself_is_refused(small: Phantom) -> None:
    affine = np.diag([-3.6, -3.6, 5.0, 1.0])
    image = nibabel.Nifti1Image(voxels(small.image).T, affine)
    image.header.set_xyzt_units("micron")
    with pytest.raises(pancseg.UnusableCase, match="is in micron; convert it to mm"):
        pancseg.judge_scan(image)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    shifted = affine.copy()
    shifted[0, 3] = 50
    image.set_qform(shifted, code=1)
    with pytest.raises(pancseg.UnusableCase, match="sform and qform disagree"):
        pancseg.judge_scan(image)


@pytest.mark.parametrize(
    ("wrong", "error", "line"),
    [
        (lambda: pancseg.RunOptions(workers=-1), pancseg.RunRefused, "`workers` is -1"),
        (lambda: pancseg.RunOptions(memory_bytes="8GB"), TypeError, "is a whole number"),
        (lambda: pancseg.RunOptions(timeout_s=math.nan), pancseg.RunRefused, "more than 0"),
        (
            lambda: pancseg.RunOptions(scheduler="tcp://h:1", slurm={"jobs": 1}),
            pancseg.RunRefused,
            "both name a cluster",
        ),
        (lambda: pancseg.check_cohort([]), ValueError, "the cohort has no case"),
        (lambda: pancseg.load_segmenter(threads=-1), ValueError, "`threads` is -1"),
        (lambda: pancseg.check_cohort(["ct.nii.gz"]), TypeError, "a list of pancseg.Case"),
        (
            lambda: pancseg.check_cohort([pancseg.Case("a", "x"), pancseg.Case("A", "y")]),
            pancseg.CohortError,
            "'A' occurs twice",
        ),
        (
            lambda: pancseg.check_cohort(pancseg.Case("a", "x"), regions=["t=2"]),
            TypeError,
            "`regions` is a mapping",
        ),
        (lambda: pancseg.Case(1, "x"), TypeError, "patient_id 1 is not text"),
        (lambda: pancseg.Case("a", "x", mask_label=2.5), TypeError, "2.5 is neither"),
        (lambda: pancseg.fit_model("f", "c"), ValueError, "give either `label`"),
        (lambda: pancseg.fit_model("f", "c", label="x", folds=1), ValueError, "folds"),
        (lambda: pancseg.fit_model("f", "c", label="x", canary=1), ValueError, "too few"),
        (lambda: pancseg.predict("m", "f", out="p.xlsx"), ValueError, "no model|name it .csv"),
        (lambda: pancseg.evaluate_masks({}, "r"), TypeError, "a mapping of model names"),
        (lambda: pancseg.measure("s", "m", {}), TypeError, "dict is not settings"),
        (lambda: pancseg.measure("s", "m", NO_MODE), ValueError, "unknown mode 'x'"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be_are_one_line(
    wrong: Any, error: type[Exception], line: str
) -> None:
    with pytest.raises(error, match=line):
        wrong()


def test_several_scans_are_asked_for_at_once(segmenter: pancseg.Segmenter) -> None:
    with pytest.raises(TypeError, match="use segment for one"):
        segmenter.segment_many("ct.nii.gz")


def test_an_array_as_a_mask_is_named_in_the_message(small: Phantom) -> None:
    wrong = voxels(small.mask).astype(np.float32)
    wrong[3] = np.nan
    with pytest.raises(pancseg.UnusableCase, match="the mask: 9216 voxels are not") as caught:
        pancseg.extract_features(small.image, wrong, "pyradiomics_default")
    assert caught.value.code == "not_labels"


def test_ids_and_pseudonyms_do_not_meet_in_one_folder(example_folder: Path, tmp_path: Path) -> None:
    hidden = pancseg.RunOptions(workers=0, pseudonyms=True)
    cohort, masks = example_folder / "cohort.csv", example_folder / "masks"
    pancseg.extract_cohort(cohort, tmp_path, masks=masks, options=hidden)
    with pytest.raises(pancseg.RunRefused, match="holds a run under pseudonyms"):
        pancseg.extract_cohort(cohort, tmp_path, masks=masks, options=pancseg.RunOptions(workers=0))


def test_errors_survive_pickling() -> None:
    unusable = pickle.loads(pickle.dumps(pancseg.UnusableCase("no_label", "a fact")))
    assert (unusable.code, unusable.fact) == ("no_label", "a fact")
    refused = pickle.loads(pickle.dumps(pancseg.CohortError(["one", "two"])))
    assert refused.problems == ["one", "two"]


def test_results_may_come_from_a_generator() -> None:
    case = pancseg.Case("a", "x")
    rows = (pancseg.CaseResult(case, "fail", "unreadable") for _ in range(2))
    assert len(pancseg.results_table(rows, "pyradiomics_default")) == 2


def test_a_mask_of_another_shape_says_so(small: Phantom) -> None:
    with pytest.raises(pancseg.UnusableCase, match=r"the mask has 2×3×4 voxels") as caught:
        pancseg.extract_features(small.image, np.ones((2, 3, 4), np.uint8))
    assert caught.value.code == "geometry"


# The segmenter


def test_probabilities_are_those_that_the_mask_is_made_of(
    small: Phantom, segmenter: pancseg.Segmenter
) -> None:
    turned = sitk.DICOMOrient(small.image, "RAI")
    found = segmenter.probabilities(turned)
    assert found.GetPixelID() == sitk.sitkFloat32
    assert found.GetSize() == turned.GetSize()
    assert found.GetDirection() == turned.GetDirection()
    values, mask = voxels(found), voxels(segmenter.segment(turned)) > 0
    assert values.min() >= 0
    assert values.max() <= 1
    reached = values >= 0.5
    inside = np.count_nonzero(reached & mask) / np.count_nonzero(mask)
    assert inside > 0.99  # the rest are small holes that were filled


def test_many_scans_one_of_them_unusable(
    small: Phantom, segmenter: pancseg.Segmenter, capfd: pytest.CaptureFixture[str]
) -> None:
    image = small.image[:, :, 10:24]
    one, gone, other = segmenter.segment_many([image, "gone.nii.gz", image])
    assert isinstance(gone, pancseg.UnusableCase)
    assert (gone.code, capfd.readouterr().err) == ("unreadable", "")
    assert (voxels(one) == voxels(other)).all()
    list(segmenter.segment_many([image], progress=True))
    assert "segmenting" in capfd.readouterr().err


def test_several_threads_get_the_serial_masks() -> None:
    scans = [
        make_phantom(seed, size=(96, 96, 12), spacing_mm=(3.6, 3.6, 12)).image for seed in (1, 2)
    ]
    segmenter = pancseg.load_segmenter(PHANTOMS, threads=1)
    serial = [voxels(segmenter.segment(scan)) for scan in scans]
    assert all(mask.any() for mask in serial)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(segmenter.segment, scans * 2))
    for index, mask in enumerate(found):
        assert (voxels(mask) == serial[index % 2]).all()


def test_it_can_be_pickled(small: Phantom, segmenter: pancseg.Segmenter) -> None:
    again = pickle.loads(pickle.dumps(segmenter))
    assert repr(again) == repr(segmenter)
    image = small.image[:, :, 10:24]
    assert (voxels(again.segment(image)) == voxels(segmenter.segment(image))).all()


def segment_in_a_child(segmenter: pancseg.Segmenter, image: Any, queue: Any) -> None:
    try:
        segmenter.segment(image, spacing=(3.6, 3.6, 5.0))
    except RuntimeError as error:
        queue.put(str(error))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads: it is the test
def test_after_a_fork_it_says_so_instead_of_hanging(
    small: Phantom, segmenter: pancseg.Segmenter
) -> None:
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    child = fork.Process(
        target=segment_in_a_child, args=(segmenter, voxels(small.image), queue), daemon=True
    )
    child.start()
    line = queue.get(timeout=300)
    child.join(60)
    assert "before the process was forked" in line
    assert "spawn" in line


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_it_shows_what_it_is(engine: str) -> None:
    segmenter = pancseg.load_segmenter(PHANTOMS, engine=engine, threads=1)
    assert repr(segmenter) == (
        f"Segmenter('monet_phantom', engine='{engine}', precision='fp32', threads=1)"
    )


# One row as the command line has it


@pytest.mark.parametrize("cut", [0, 12])
def test_measure_gives_the_row_of_the_table(small: Phantom, tmp_path: Path, cut: int) -> None:
    """Also where the scan ends within the region: the same cells are empty."""
    image = small.image[:, :, cut:]
    mask = sitk.Cast(small.mask[:, :, cut:] != 0, sitk.sitkUInt8)
    pancseg.write_scan(image, tmp_path / "scan.nii.gz")
    pancseg.write_scan(mask, tmp_path / "mask.nii.gz")
    (result,) = pancseg.extract_cohort(
        tmp_path / "scan.nii.gz",
        tmp_path / "out",
        masks=tmp_path / "mask.nii.gz",
        settings="pyradiomics_default",
        options=pancseg.RunOptions(workers=0),
    )
    table = pd.read_csv(tmp_path / "out" / "features.csv").iloc[0]
    again, drawn = (pancseg.read_scan(tmp_path / f"{name}.nii.gz") for name in ("scan", "mask"))
    row = pancseg.measure(again, drawn, "pyradiomics_default")
    assert list(row) == [name for name in table.index if name not in ("patient_id", "scan_id")]
    for name, value in row.items():
        written = table[name]
        if value == "" or (isinstance(value, float) and math.isnan(value)):
            assert pd.isna(written), name
        elif isinstance(value, str):
            assert str(written) in (value, value.rstrip("0").rstrip(".")), name
        else:
            assert written == pytest.approx(value, rel=1e-15), name
    empty_shape = [n for n in row if "_shape_" in n and pd.isna(row[n])]
    assert bool(empty_shape) == ("truncated" in result.reason) == bool(cut)


def test_measure_has_a_row_for_what_cannot_be_used(small: Phantom) -> None:
    empty = np.zeros(voxels(small.image).shape, np.uint8)
    row = pancseg.measure(small.image, empty)
    assert (row["qc_status"], row["qc_reasons"]) == ("fail", "thick_slices;empty_mask")
    row = pancseg.measure("gone.nii.gz", empty)
    assert (row["qc_status"], row["qc_reasons"]) == ("fail", "unreadable")
    with pytest.raises(TypeError, match="is not a volume"):
        pancseg.measure(small.image, 1)  # type: ignore[arg-type]


# Cohorts


def test_a_cohort_by_its_cases_and_regions(small: Phantom, tmp_path: Path) -> None:
    image = pancseg.write_scan(small.image, tmp_path / "ct.nii.gz") or tmp_path / "ct.nii.gz"
    labels = sitk.Cast(small.mask != 0, sitk.sitkUInt8)
    pancseg.write_scan(labels, tmp_path / "labels.nii.gz")
    cases = [pancseg.Case("P1", image, mask=tmp_path / "labels.nii.gz")]
    results = pancseg.extract_cohort(
        cases,
        tmp_path / "out",
        regions={"organ": "1", "ring": "ring(1;5mm)"},
        settings="pyradiomics_default",
        options=pancseg.RunOptions(workers=0),
    )
    assert [(r.case.roi, r.usable) for r in results] == [("organ", True), ("ring", True)]
    with pytest.raises(ValueError, match="`masks` cannot be combined with a sequence of cases"):
        pancseg.extract_cohort(cases, tmp_path / "out", masks=tmp_path)
    with pytest.raises(ValueError, match="`label` and `regions`"):
        pancseg.extract_cohort(cases, tmp_path / "out", label=1, regions={"a": "1"})
