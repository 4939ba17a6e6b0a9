"""Features are pyradiomics's own numbers, for any of its parameter files; bad regions are named."""

from __future__ import annotations

import ast
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import yaml
from radiomics.featureextractor import RadiomicsFeatureExtractor
from scipy import ndimage

from pancseg import (
    FeatureSettings,
    UnusableCase,
    extract_features,
    load_feature_settings,
    preset_names,
    read_scan,
    write_scan,
)
from pancseg.features.check import check_feature_settings
from pancseg.features.expected_names import feature_names
from pancseg.features.extract import compute_features, parameters_for
from pancseg.features.regions import region_of
from pancseg.features.settings import preset_folder
from pancseg.phantom import Phantom
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.geometry import orient

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
        assert ours[name] == pytest.approx(float(theirs[name]), rel=1e-9, nan_ok=True), name


@pytest.mark.parametrize("name", PARAMETERS)
def test_any_parameter_file_gives_pyradiomics_numbers(
    name: str, tmp_path: Path, phantom: Phantom
) -> None:
    paths = [tmp_path / file for file in ("image.nrrd", "mask.nrrd", "parameters.yaml")]
    write_scan(phantom.image, paths[0])
    write_scan(phantom.mask, paths[1])
    paths[2].write_text(yaml.safe_dump(PARAMETERS[name]))
    theirs = pyradiomics(*paths, 1, tmp_path / "out.csv")
    assert_same(extract_features(phantom.image, phantom.mask, paths[2], label=1), theirs)


def test_a_json_parameter_file_works_too(tmp_path: Path, phantom: Phantom) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(PARAMETERS["flat"]))
    assert len(extract_features(phantom.image, phantom.mask, path)) > 40


def test_a_real_ct_with_label_7_equals_pyradiomics_command_line(data: Path, tmp_path: Path) -> None:
    image = data / "totalseg" / "example_ct_sm.nii.gz"
    mask = data / "totalseg" / "example_seg.nii.gz"
    parameters = preset_folder() / "pyradiomics_default.yaml"
    theirs = pyradiomics(image, mask, parameters, 7, tmp_path / "out.csv")
    command = ["extract", str(image), "--masks", str(mask), "--label", "7", "--quiet"]
    command += ["--config", "pyradiomics_default", "--out", str(tmp_path / "run"), "--keep-failed"]
    done = subprocess.run([sys.executable, "-m", "pancseg", *command], check=False)
    row = pd.read_csv(tmp_path / "run" / "features.csv", float_precision="round_trip").iloc[0]
    assert (done.returncode, row["qc_status"]) == (0, "warn")  # a given mask
    assert row["qc_reasons"] == "volume;fragmented;hu_range"  # a network's label, three bits of fat
    ours = {name: float(row[name]) for name in row.index if name.startswith("original_")}
    assert len(ours) == 107
    assert_same(ours, theirs)


def baseline_cases(data: Path) -> dict[tuple[str, str, bool], dict[str, pd.Series]]:
    """Return (test case, its settings, whether in 2-D) → class → column of pyradiomics's baseline.

    What has the same settings is measured at once.
    """
    found: dict[tuple[str, str, bool], dict[str, pd.Series]] = {}
    for path in sorted((data / "radiomics_baseline" / "baseline").glob("*.csv")):
        kind = path.stem.removeprefix("baseline_")
        frame = pd.read_csv(path, index_col="featureName", dtype=str)
        for case in frame:
            settings = str(frame[case]["diagnostics_Configuration_Settings"])
            found.setdefault((case, settings, kind == "shape2D"), {})[kind] = frame[case]
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
    labels = voxel_array(mask) == 1
    (z,) = np.flatnonzero(labels.sum(axis=(1, 2)) == voxels)
    kept = np.zeros(labels.shape, np.uint8)
    kept[z] = labels[z]
    return image_like(kept, mask)


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
    for (case, written, is_2d), by_class in baseline_cases(data).items():
        pair = images_of(data, case)
        settings = ast.literal_eval(written)
        if pair is None or (case.startswith("lung") and uses_whole_image(settings)):
            continue
        columns += len(by_class)
        settings = {k: v for k, v in settings.items() if v is not None and k in KNOWN}
        classes = dict.fromkeys(by_class)
        (tmp_path / "p.yaml").write_text(
            yaml.safe_dump({"setting": settings, "featureClass": classes})
        )
        image, mask = (read_scan(path) for path in pair)
        if is_2d:
            (column,) = by_class.values()
            mask = slice_of(mask, int(column["diagnostics_Mask-corrected_VoxelNum"]))
        ours = extract_features(image, mask, tmp_path / "p.yaml")
        expected = {name: text for column in by_class.values() for name, text in column.items()}
        for name, value in ours.items():
            if isinstance(expected.get(name), str):
                # The lungs' crops are NIfTI, which stores their spacing as float32.
                tolerance = 1e-6 if case.startswith("lung") else 1e-9
                if case == "brain1" and name in MOVED_SINCE:
                    tolerance = 1e-3
                assert value == pytest.approx(float(expected[name]), rel=tolerance), (case, name)
                compared += 1
    assert (columns, compared) == (COLUMNS, VALUES)


KNOWN = {
    "binWidth", "binCount", "force2D", "force2Ddimension", "label", "normalize", "normalizeScale",
    "removeOutliers", "resampledPixelSpacing", "interpolator", "padDistance", "distances",
    "resegmentRange", "resegmentMode", "gldm_a", "voxelArrayShift", "symmetricalGLCM",
    "weightingNorm", "preCrop", "minimumROIDimensions", "minimumROISize",
}  # fmt: skip


FEATURES = {"pancreas_ct": 386, "pancreas_ct_filters": 1316, "kaissis_2020": 1409}


@pytest.mark.parametrize("preset", preset_names())
def test_presets_extract_on_the_phantom(preset: str, phantom: Phantom) -> None:
    settings = load_feature_settings(preset)
    check_feature_settings(settings)
    plain = preset in ("pyradiomics_default", "kaissis_2020")
    assert settings.mode == ("pyradiomics" if plain else "ibsi")
    mask = sitk.Cast(phantom.mask > 0, sitk.sitkUInt8)
    row = extract_features(phantom.image, mask, settings)
    assert len(row) == FEATURES.get(preset, 107)
    assert np.isfinite(list(row.values())).all()


def test_thick_slices_go_to_the_coarser_grid(phantom: Phantom) -> None:
    settings = load_feature_settings("pancreas_ct")
    grid = lambda image: parameters_for(image, settings)["setting"]["resampledPixelSpacing"]  # noqa: E731
    assert grid(phantom.image) == [2, 2, 2]
    thin = sitk.Image(phantom.image)
    thin.SetSpacing((2.8, 2.8, 1.25))
    assert grid(thin) == [1, 1, 1]
    assert grid(orient(thin, "SLP")) == [1, 1, 1]


def small_block(thick: int, kind: type = np.int16) -> tuple[sitk.Image, sitk.Image]:
    """Return a noisy scan of ``thick`` slices of 1 mm, and a block of it."""
    voxels = np.random.default_rng(3).integers(0, 100, (thick, 20, 20)).astype(kind)
    inside = np.zeros(voxels.shape, np.uint8)
    inside[1:4, 5:15, 5:15] = 1
    return sitk.GetImageFromArray(voxels), sitk.GetImageFromArray(inside)


@pytest.mark.parametrize("setting", [{}, {"correctMask": True}])
def test_a_filter_wider_than_the_scan_has_no_values_and_says_so(setting: dict[str, Any]) -> None:
    types = {"LoG": {"sigma": [8.0, 1, 12.5]}, "Original": {}}
    settings = FeatureSettings(name="custom", parameters={"setting": setting, "imageType": types})
    found, whole = (compute_features(*small_block(z), settings) for z in (6, 20))
    assert whole.reasons == {}
    assert list(whole.values) == list(found.values) == feature_names(settings)
    assert list(found.reasons) == ["wide_filter"]
    fact = "a LoG of 8 mm needs 9×9×9 voxels of 1×1×1 mm around the region, more than are available"
    assert found.reasons["wide_filter"] == fact
    wide = {name for name in found.values if name.startswith(("log-sigma-8-0", "log-sigma-12-5"))}
    assert {name for name, value in found.values.items() if np.isnan(value)} == wide
    assert found.explained == wide


@pytest.mark.parametrize("mode", ["ibsi", "pyradiomics"])
def test_a_grid_that_would_fill_the_memory_is_refused(mode: str) -> None:
    parameters = {"setting": {"resampledPixelSpacing": [0.01, 0.01, 0.005]}}
    settings = FeatureSettings(
        name="c", mode=mode, parameters=parameters, ibsi={"hu": False} if mode == "ibsi" else {}
    )
    check_feature_settings(settings)
    fact = r"of 0.01×0.01×0.005 mm has [\d,]{10,} voxels \(\d+ GB an array\); at most 200,000,000"
    with pytest.raises(UnusableCase, match=fact) as caught:
        compute_features(*small_block(6), settings)
    assert caught.value.code == "fine_grid"


@pytest.mark.parametrize("setting", [{"binWidth": 25}, {"voxelArrayShift": 1}])
def test_the_highest_value_of_int16_has_a_bin(setting: dict[str, Any]) -> None:
    found = []
    for kind in (np.int16, np.int32):
        scan, region = small_block(8, kind)
        scan[8, 8, 2] = 32767
        settings = FeatureSettings(name="custom", parameters={"setting": setting})
        found.append(compute_features(scan, region, settings).values)
    assert found[0] == found[1]
    assert found[0]["original_firstorder_Maximum"] == 32767


def test_a_reordered_mask_gives_the_same_numbers(phantom: Phantom) -> None:
    upright = extract_features(phantom.image, phantom.mask, "pyradiomics_default")
    turned = extract_features(phantom.image, orient(phantom.mask, "RAI"), "pyradiomics_default")
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
    labels = voxel_array(mask).copy()
    labels[0, 0, 0] = 3
    return image_like(labels, mask)


def test_without_a_label_pancreas_and_tumour_are_one_region(phantom: Phantom) -> None:
    labels = voxel_array(phantom.mask).copy()
    half = labels.copy()
    half[:, :, 64:] *= 2
    for voxels, expected in ((half, (1, 2)), (labels * 255, (255,)), (labels * 0.99999994, (1,))):
        region = region_of(image_like(voxels, phantom.mask), None)
        assert region.labels == expected
        np.testing.assert_array_equal(voxel_array(region.image), labels)


def test_regions_too_small_for_pyradiomics_are_named(phantom: Phantom) -> None:
    one = np.zeros_like(voxel_array(phantom.mask))
    one[5, 60, 60] = 1
    for voxels in (one, np.where(np.arange(128) == 60, np.roll(one, 1, 1) | one, 0)):
        with pytest.raises(UnusableCase) as caught:
            extract_features(
                phantom.image, image_like(voxels, phantom.image), "pyradiomics_default"
            )
        assert caught.value.code == "too_small"
    fat = image_like((voxel_array(phantom.image) < -500).astype(np.uint8), phantom.image)
    with pytest.raises(UnusableCase) as caught:
        extract_features(phantom.image, fat, "pancreas_ct")
    assert caught.value.code == "resegmented"


def test_pyradiomics_own_loggers_and_settings_stay_as_they_were(phantom: Phantom) -> None:
    import radiomics

    before = (radiomics.logger.level, sitk.ProcessObject.GetGlobalDefaultCoordinateTolerance())
    extract_features(phantom.image, phantom.mask, "pyradiomics_default")
    after = (radiomics.logger.level, sitk.ProcessObject.GetGlobalDefaultCoordinateTolerance())
    assert before == after


def test_settings_that_pyradiomics_does_not_know_are_refused() -> None:
    settings = load_feature_settings("pyradiomics_default")
    with pytest.raises(ValueError, match=r"binWith"):
        check_feature_settings(
            settings.model_copy(update={"parameters": {"setting": {"binWith": 25}}})
        )
    with pytest.raises(ValueError, match="unknown mode 'mirp'; known: ibsi, pyradiomics"):
        check_feature_settings(settings.model_copy(update={"mode": "mirp"}))


CLASSES = dict.fromkeys(("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm"))
SAME_AS_PYRADIOMICS: dict[str, dict[str, Any]] = {
    "spline": {
        "setting": {"resampledPixelSpacing": [2, 2, 2]},
        "imageType": {"Original": {}, "LoG": {"sigma": [1.0, 2.0]}, "Wavelet": {}},
    },
    "linear": {
        "setting": {
            "resampledPixelSpacing": [2, 2, 0],
            "interpolator": "sitkLinear",
            "binCount": 16,
            "resegmentRange": [-50, 300],
        },
        "imageType": {"Original": {}, "Wavelet": {"wavelet": "haar", "level": 2}},
    },
    "as it is": {
        "setting": {"binWidth": 40},
        "imageType": {
            "LoG": {"sigma": [1.0, 4.0], "binWidth": 5},
            "Wavelet": {"level": 1, "start_level": 1},
        },
    },
    "planes of their own": {
        "setting": {"binWidth": 40},
        "imageType": {
            "Original": {},
            "LoG": {"sigma": [2.0], "force2D": True},
            "Wavelet": {"force2D": True, "force2Ddimension": 1},
        },
    },
    "whole image": {"imageType": {"Square": {}, "Logarithm": {}, "Gradient": {}}},
    "planes": {"setting": {"force2D": True, "force2Ddimension": 2, "symmetricalGLCM": False}},
    "weighted": {"setting": {"weightingNorm": "euclidean", "distances": [1, 2], "gldm_a": 1}},
    "shifted": {"setting": {"voxelArrayShift": 300, "gldm_a": 1}},
    "sigma": {
        "setting": {
            "resegmentMode": "sigma",
            "resegmentRange": [-1, 1],
            "resegmentShape": True,
            "preCrop": True,
        }
    },
    "corrected": {"setting": {"correctMask": True, "resampledPixelSpacing": [3, 3, 3]}},
    "nearest": {
        "setting": {
            "resampledPixelSpacing": [2, 2, 2],
            "interpolator": "sitkNearestNeighbor",
            "padDistance": 1,
        }
    },
}


@pytest.mark.parametrize("at_the_edge", [False, True])
@pytest.mark.parametrize("name", SAME_AS_PYRADIOMICS)
def test_every_value_is_pyradiomics_own(name: str, at_the_edge: bool) -> None:
    """Whatever is done on a part of the scan, or counted otherwise, gives the same numbers."""
    rng = np.random.default_rng(1)
    voxels = ndimage.gaussian_filter(rng.normal(size=(17, 45, 61)), (0.7, 1.5, 1.5)) * 300 + 80
    z, y, x = np.indices(voxels.shape)
    centre = (2, 5, 6) if at_the_edge else (8, 22, 30)
    course = y - centre[1] - 3 * np.sin(x / 4)
    inside = ((z - centre[0]) / 5) ** 2 + (course / 9) ** 2 + ((x - centre[2]) / 14) ** 2 < 1
    scan = sitk.GetImageFromArray(voxels.astype(np.int16 if at_the_edge else np.float32))
    scan.SetSpacing((0.8, 0.8, 2.5))
    scan.SetOrigin((-101.3, 33.7, 12.5))
    region = image_like(inside.astype(np.uint8), scan)
    parameters = {"featureClass": CLASSES, **SAME_AS_PYRADIOMICS[name]}
    extractor = RadiomicsFeatureExtractor(parameters)
    extractor.addProvenance(False)
    theirs = extractor.execute(scan, region)
    settings = FeatureSettings(name="custom", parameters=parameters)
    assert_same(compute_features(scan, region, settings).values, theirs)
