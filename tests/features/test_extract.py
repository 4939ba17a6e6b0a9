"""Features are pyradiomics's own numbers, for any of its parameter files; bad regions are named."""

from __future__ import annotations

import ast
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import yaml

from pancseg import features, scans
from pancseg.features import pyradiomics_backend
from pancseg.features.extract import BACKENDS, parameters_for, region_of
from pancseg.phantom import Phantom
from pancseg.settings import load_feature_settings, preset_folder, preset_names
from pancseg.unusable import UnusableCase

PARAMETERS = {
    "filters": {
        "setting": {"binCount": 16, "resampledPixelSpacing": [3, 3, 3], "label": 1},
        "imageType": {"Original": {}, "Wavelet": {"wavelet": "coif1"}, "Square": {}},
        "featureClass": {"firstorder": ["Mean", "Entropy"], "glcm": None},
    },
    "flat": {
        "setting": {"force2D": True, "normalize": True, "normalizeScale": 100, "binWidth": 5},
        "featureClass": {"shape": None, "glrlm": None, "gldm": None},
    },
}


def pyradiomics(image: Path, mask: Path, parameters: Path, label: int, out: Path) -> dict[str, str]:
    """Run pyradiomics's own command line on one case."""
    command = [str(Path(sys.executable).parent / "pyradiomics"), str(image), str(mask), "-p"]
    command += [str(parameters), "-s", f"label:{label}", "-f", "csv", "-o", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    with out.open(newline="") as file:
        return next(csv.DictReader(file))


def assert_same(ours: dict[str, float], theirs: dict[str, str]) -> None:
    names = [name for name in theirs if name.split("_")[0] not in ("diagnostics", "Image", "Mask")]
    assert list(ours) == names
    for name in names:
        assert ours[name] == pytest.approx(float(theirs[name]), rel=1e-9), name


@pytest.mark.parametrize("name", PARAMETERS)
def test_any_parameter_file_gives_pyradiomics_numbers(
    name: str, tmp_path: Path, phantom: Phantom
) -> None:
    paths = [tmp_path / file for file in ("image.nrrd", "mask.nrrd", "parameters.yaml")]
    scans.write(phantom.image, paths[0])
    scans.write(phantom.mask, paths[1])
    paths[2].write_text(yaml.safe_dump(PARAMETERS[name]))
    theirs = pyradiomics(*paths, 1, tmp_path / "out.csv")
    assert_same(features.extract(phantom.image, phantom.mask, paths[2], label=1), theirs)


def test_a_json_parameter_file_works_too(tmp_path: Path, phantom: Phantom) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(PARAMETERS["flat"]))
    assert len(features.extract(phantom.image, phantom.mask, path)) > 40


def test_a_real_ct_with_label_7_equals_pyradiomics_command_line(data: Path, tmp_path: Path) -> None:
    image = data / "totalseg" / "example_ct_sm.nii.gz"
    mask = data / "totalseg" / "example_seg.nii.gz"
    parameters = preset_folder() / "pyradiomics_default.yaml"
    theirs = pyradiomics(image, mask, parameters, 7, tmp_path / "out.csv")
    command = ["extract", str(image), "--masks", str(mask), "--label", "7", "--quiet"]
    command += ["--config", "pyradiomics_default", "--out", str(tmp_path / "run")]
    subprocess.run([sys.executable, "-m", "pancseg", *command], check=True)
    row = pd.read_csv(tmp_path / "run" / "features.csv", float_precision="round_trip").iloc[0]
    assert row["qc_status"] == "pass"
    ours = {name: float(row[name]) for name in row.index if name.startswith("original_")}
    assert len(ours) == 107
    assert_same(ours, theirs)


def baseline_cases(data: Path) -> list[tuple[str, str, pd.Series]]:
    """Return (class, test case, its column) of pyradiomics's baseline that needs no filter."""
    found = []
    for path in sorted((data / "radiomics_baseline" / "baseline").glob("*.csv")):
        frame = pd.read_csv(path, index_col="featureName", dtype=str)
        found += [(path.stem.removeprefix("baseline_"), case, frame[case]) for case in frame]
    return found


def uses_whole_image(settings: dict[str, object]) -> bool:
    """Whether a crop gives other numbers: its mean or its resampling grid differ."""
    return bool(settings.get("normalize") or settings.get("resampledPixelSpacing"))


COLUMNS, VALUES = 150, 2296
"""How many columns of the baseline, and how many values in them, are compared."""


MOVED_SINCE = {
    "original_shape_MeshVolume",
    "original_shape_Sphericity",
    "original_shape_SurfaceArea",
    "original_shape_SurfaceVolumeRatio",
}
"""The mesh of brain1 changed by up to 9e-4 between pyradiomics 2.0.1 (baseline) and 3.1.4."""


def slice_of(mask: sitk.Image, voxels: int) -> sitk.Image:
    """Keep the only slice with that many voxels: what pyradiomics's 2-D shape tests measured."""
    labels = scans.array(mask) == 1
    (z,) = np.flatnonzero(labels.sum(axis=(1, 2)) == voxels)
    kept = np.zeros(labels.shape, np.uint8)
    kept[z] = labels[z]
    return scans.like(kept, mask)


def images_of(data: Path, case: str) -> tuple[Path, Path] | None:
    folder = data / "radiomics_baseline"
    name = case.split("_")[0]
    for suffix in ("nrrd", "nii.gz"):
        crop = "_crop10" if name.startswith("lung") else ""
        pair = tuple(folder / f"{name}_{kind}{crop}.{suffix}" for kind in ("image", "label"))
        if all(path.exists() for path in pair):
            return pair
    return None


def test_pyradiomics_baseline_is_reproduced(data: Path, tmp_path: Path) -> None:
    """All features of all baseline columns whose settings the cropped images still allow."""
    compared, columns = 0, 0
    for kind, case, column in baseline_cases(data):
        pair = images_of(data, case)
        settings = ast.literal_eval(str(column["diagnostics_Configuration_Settings"]))
        if pair is None or (case.startswith("lung") and uses_whole_image(settings)):
            continue
        columns += 1
        settings = {k: v for k, v in settings.items() if v is not None and k in KNOWN}
        (tmp_path / "p.yaml").write_text(
            yaml.safe_dump({"setting": settings, "featureClass": {kind: None}})
        )
        image, mask = (scans.read(path) for path in pair)
        if kind == "shape2D":
            mask = slice_of(mask, int(column["diagnostics_Mask-corrected_VoxelNum"]))
        ours = features.extract(image, mask, tmp_path / "p.yaml")
        for name, value in ours.items():
            if name in column.index and isinstance(column[name], str):
                # The lungs' crops are NIfTI, which stores their spacing as float32.
                tolerance = 1e-6 if case.startswith("lung") else 1e-9
                if case == "brain1" and name in MOVED_SINCE:
                    tolerance = 1e-3
                assert value == pytest.approx(float(column[name]), rel=tolerance), (case, name)
                compared += 1
    assert (columns, compared) == (COLUMNS, VALUES)


KNOWN = {
    "binWidth", "binCount", "force2D", "force2Ddimension", "label", "normalize", "normalizeScale",
    "removeOutliers", "resampledPixelSpacing", "interpolator", "padDistance", "distances",
    "resegmentRange", "resegmentMode", "gldm_a", "voxelArrayShift", "symmetricalGLCM",
    "weightingNorm", "preCrop", "minimumROIDimensions", "minimumROISize",
}  # fmt: skip


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("backend", BACKENDS)
def test_presets_extract_on_the_phantom(preset: str, backend: str, phantom: Phantom) -> None:
    settings = load_feature_settings(preset)
    assert settings.backend == backend
    row = features.extract(phantom.image, phantom.mask, settings)
    assert len(row) == {"pancreas_ct": 386, "pyradiomics_default": 107}[preset]
    assert np.isfinite(list(row.values())).all()


def test_thick_slices_go_to_the_coarser_grid(phantom: Phantom) -> None:
    settings = load_feature_settings("pancreas_ct")
    grid = lambda image: parameters_for(image, settings)["setting"]["resampledPixelSpacing"]  # noqa: E731
    assert grid(phantom.image) == [2, 2, 2]
    thin = sitk.Image(phantom.image)
    thin.SetSpacing((2.8, 2.8, 1.25))
    assert grid(thin) == [1, 1, 1]
    assert grid(scans.orient(thin, "SLP")) == [1, 1, 1]


def test_a_reordered_mask_gives_the_same_numbers(phantom: Phantom) -> None:
    upright = features.extract(phantom.image, phantom.mask, "pyradiomics_default")
    turned = features.extract(
        phantom.image, scans.orient(phantom.mask, "RAI"), "pyradiomics_default"
    )
    assert upright == turned


@pytest.mark.parametrize(
    ("code", "message", "change"),
    [
        ("empty_mask", "none of", lambda m: m * 0),
        ("no_label", "no label 9; it has 1", lambda m: m),
        ("several_labels", "labels 1, 3; name one", lambda m: several(m)),
        ("not_labels", "fractions", lambda m: sitk.Cast(m, sitk.sitkFloat32) * 0.4),
    ],
)
def test_bad_regions_are_named(code: str, message: str, change, phantom: Phantom) -> None:
    with pytest.raises(UnusableCase, match=message) as caught:
        region_of(change(phantom.mask), None if code == "several_labels" else 9)
    assert caught.value.code == code


def several(mask: sitk.Image) -> sitk.Image:
    labels = scans.array(mask).copy()
    labels[0, 0, 0] = 3
    return scans.like(labels, mask)


def test_without_a_label_pancreas_and_tumour_are_one_region(phantom: Phantom) -> None:
    labels = scans.array(phantom.mask).copy()
    half = labels.copy()
    half[:, :, 64:] *= 2
    for voxels, expected in ((half, (1, 2)), (labels * 255, (255,)), (labels * 0.99999994, (1,))):
        region = region_of(scans.like(voxels, phantom.mask), None)
        assert region.labels == expected
        np.testing.assert_array_equal(scans.array(region.image), labels)


def test_regions_too_small_for_pyradiomics_are_named(phantom: Phantom) -> None:
    one = np.zeros_like(scans.array(phantom.mask))
    one[5, 60, 60] = 1
    for voxels in (one, np.where(np.arange(128) == 60, np.roll(one, 1, 1) | one, 0)):
        with pytest.raises(UnusableCase) as caught:
            features.extract(
                phantom.image, scans.like(voxels, phantom.image), "pyradiomics_default"
            )
        assert caught.value.code == "too_small"
    fat = scans.like((scans.array(phantom.image) < -500).astype(np.uint8), phantom.image)
    with pytest.raises(UnusableCase) as caught:
        features.extract(phantom.image, fat, "pancreas_ct")
    assert caught.value.code == "resegmented"


def test_pyradiomics_own_loggers_and_settings_stay_as_they_were(phantom: Phantom) -> None:
    import radiomics

    before = (radiomics.logger.level, sitk.ProcessObject.GetGlobalDefaultCoordinateTolerance())
    features.extract(phantom.image, phantom.mask, "pyradiomics_default")
    after = (radiomics.logger.level, sitk.ProcessObject.GetGlobalDefaultCoordinateTolerance())
    assert before == after


def test_settings_that_pyradiomics_does_not_know_are_refused() -> None:
    settings = load_feature_settings("pyradiomics_default")
    with pytest.raises(ValueError, match=r"binWith"):
        features.check(settings.model_copy(update={"parameters": {"setting": {"binWith": 25}}}))
    with pytest.raises(ValueError, match="unknown backend 'mirp'; known: pyradiomics"):
        features.check(settings.model_copy(update={"backend": "mirp"}))


@pytest.mark.parametrize("tumour_only", [False, True])
def test_cropping_first_changes_no_bit(
    phantom: Phantom, tumour_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without filters and resampling the scan is cut to the region's box before pyradiomics."""
    region = sitk.Cast(phantom.mask > 0, sitk.sitkUInt8)
    if tumour_only:
        region[:, :, :12] = 0
    cropped = features.extract(phantom.image, region, "pyradiomics_default")
    monkeypatch.setattr(pyradiomics_backend, "_is_local", lambda _: False)
    assert features.extract(phantom.image, region, "pyradiomics_default") == cropped


@pytest.mark.parametrize(
    ("change", "local"),
    [
        ({}, True),
        ({"setting": {"binWidth": 10, "resegmentRange": [-10, 300]}}, True),
        ({"setting": {"normalize": True}}, False),
        ({"setting": {"resampledPixelSpacing": [1, 1, 1]}}, False),
        ({"imageType": {"Original": {}, "Wavelet": {}}}, False),
        ({"imageType": {"Original": {"binWidth": 5}}}, False),
    ],
)
def test_cropping_is_for_settings_that_look_at_the_region_alone(
    change: dict[str, object], local: bool
) -> None:
    assert pyradiomics_backend._is_local({"imageType": {"Original": {}}, **change}) is local
