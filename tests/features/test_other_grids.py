"""Masks on other grids than the scan's are measured as pyradiomics does, or refused with a fact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor
from scipy import ndimage

from pancseg import FeatureSettings, UnusableCase, extract_features
from pancseg.features.extract import compute_features
from pancseg.features.regions import region_of
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.geometry import orient

CLASSES = {"shape": None, "firstorder": None, "glcm": ["Idn"], "ngtdm": None}
GRIDS = ("cut to a box", "finer", "coarser", "turned", "flipped and finer")
SETTINGS: dict[str, dict[str, Any]] = {
    "resampled": {"setting": {"resampledPixelSpacing": [2, 2, 2], "binWidth": 40}},
    "resampled to the scan's spacing": {
        "setting": {"resampledPixelSpacing": [1.6, 1.6, 2.5], "correctMask": True},
        "imageType": {"Original": {}, "Wavelet": {}},
    },
    "corrected": {
        "setting": {"correctMask": True, "normalize": True, "normalizeScale": 100},
        "imageType": {"Original": {}, "LoG": {"sigma": [2.0]}},
    },
    "corrected, cropped and re-segmented": {
        "setting": {
            "correctMask": True,
            "preCrop": True,
            "padDistance": 8,
            "resegmentMode": "sigma",
            "resegmentRange": [-1, 1],
        },
        "imageType": {"Original": {}, "Square": {}},
    },
    "both": {"setting": {"correctMask": True, "resampledPixelSpacing": [3, 3, 0]}},
}


def scan_and_region() -> tuple[sitk.Image, sitk.Image]:
    """Return a blurred, noisy scan of int16 with air, and an ellipsoid in it."""
    rng = np.random.default_rng(5)
    voxels = ndimage.gaussian_filter(rng.normal(size=(22, 34, 40)), 1.5) * 300 + 80
    voxels[0] = -1000
    z, y, x = np.indices(voxels.shape)
    inside = ((z - 10) / 5) ** 2 + ((y - 15) / 8) ** 2 + ((x - 21) / 11) ** 2 < 1
    scan = sitk.GetImageFromArray(np.rint(voxels).astype(np.int16))
    scan.SetSpacing((1.6, 1.6, 2.5))
    scan.SetOrigin((-101.3, 33.7, 12.5))
    return scan, image_like(inside.astype(np.uint8), scan)


def on_another_grid(region: sitk.Image, name: str) -> sitk.Image:
    if name == "cut to a box":
        return region[8:35, 4:28, 3:18]
    if name == "turned":
        return orient(region, "SRA")
    if name == "flipped and finer":
        region = orient(region, "RAI")
    factor = 2.3 if name == "coarser" else 0.5
    spacing = [factor * side for side in region.GetSpacing()]
    size = [int(n / factor) for n in region.GetSize()]
    return sitk.Resample(
        region, size, sitk.Transform(), sitk.sitkNearestNeighbor, region.GetOrigin(), spacing,
        region.GetDirection(),
    )  # fmt: skip


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_value_is_pyradiomics_own(name: str, grid: str) -> None:
    scan, region = scan_and_region()
    mask = on_another_grid(region, grid)
    parameters = {"featureClass": CLASSES, **SETTINGS[name]}
    if grid == "turned" and not parameters["setting"].get("correctMask"):
        mask = orient(mask)  # axes that run otherwise are put in order first
    extractor = RadiomicsFeatureExtractor(parameters)
    extractor.addProvenance(False)
    theirs = {k: float(v) for k, v in extractor.execute(scan, mask, label=1).items()}
    settings = FeatureSettings(name="custom", parameters=parameters)
    ours = compute_features(scan, on_another_grid(region, grid), settings).values
    assert list(ours) == list(theirs)
    assert ours == pytest.approx(theirs, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("mode", ["ibsi", "pyradiomics"])
def test_a_mask_cut_to_a_box_gives_the_values_of_the_whole_one(mode: str) -> None:
    scan, region = scan_and_region()
    box = on_another_grid(region, "cut to a box")
    settings = FeatureSettings(name="custom", mode=mode, parameters={"featureClass": CLASSES})
    whole = extract_features(scan, region, settings)
    for mask in (box, orient(box, "PIR")):
        assert extract_features(scan, mask, settings) == whole
    around = extract_features(scan, region, settings, label="ring(1;20mm)")
    assert extract_features(scan, box, settings, label="ring(1;20mm)") == around


@pytest.mark.parametrize("grid", ["finer", "coarser"])
def test_without_resampling_other_grids_are_refused(grid: str) -> None:
    scan, region = scan_and_region()
    mask = on_another_grid(region, grid)
    for mode, setting in (
        ("ibsi", {"resampledPixelSpacing": [2, 2, 2]}),
        ("pyradiomics", {"resampledPixelSpacing": [2, 2, 2], "interpolator": None}),
        ("pyradiomics", {"geometryTolerance": 1000.0}),
    ):
        settings = FeatureSettings(name="c", mode=mode, parameters={"setting": setting})
        with pytest.raises(UnusableCase, match="resample the mask onto the scan") as caught:
            extract_features(scan, mask, settings)
        assert caught.value.code == "geometry"


@pytest.mark.parametrize("setting", [{"correctMask": True}, {"resampledPixelSpacing": [2, 2, 2]}])
@pytest.mark.parametrize(
    ("shift_mm", "fact"),
    [
        ((0, 0, 700), r"all [\d,]+ voxels of the region lie outside of the scan, 66\d mm or more"),
        (
            (0, 0, 22.4),
            r"^[\d,]+ of the region's [\d,]+ voxels lie outside of the scan, up to .* mm",
        ),
        ((0, 0, -15.15), r"the box around the region reaches 0.15 mm beyond the scan"),
    ],
)
def test_a_region_beyond_the_scan_is_refused(
    shift_mm: tuple[float, ...], fact: str, setting: dict[str, Any]
) -> None:
    scan, region = scan_and_region()
    mask = sitk.Image(region)
    mask.SetOrigin(np.add(region.GetOrigin(), shift_mm).tolist())
    settings = FeatureSettings(name="custom", parameters={"setting": setting})
    with pytest.raises(UnusableCase, match=fact) as caught:
        extract_features(scan, mask, settings)
    assert caught.value.code == "geometry"


def test_a_region_that_falls_between_the_scans_voxels_is_too_small() -> None:
    scan, _ = scan_and_region()
    voxels = np.zeros((44, 68, 80), np.uint8)
    voxels[20:21, 31:33, 41:42] = 1
    mask = sitk.GetImageFromArray(voxels)
    mask.SetSpacing([side / 2 for side in scan.GetSpacing()])
    mask.SetOrigin(np.add(scan.GetOrigin(), 0.2).tolist())
    settings = FeatureSettings(name="custom", parameters={"setting": {"correctMask": True}})
    with pytest.raises(UnusableCase) as caught:
        extract_features(scan, mask, settings)
    assert caught.value.code == "too_small"


def test_an_empty_region_is_called_so() -> None:
    scan, region = scan_and_region()
    for setting in ({}, {"correctMask": True}):
        settings = FeatureSettings(name="custom", parameters={"setting": setting})
        with pytest.raises(UnusableCase) as caught:
            compute_features(scan, region * 0, settings)
        assert caught.value.code == "empty_mask"


def test_a_tolerance_in_the_settings_stays_in_them() -> None:
    """SimpleITK's tolerance is that of the whole process."""
    scan, region = scan_and_region()
    before = sitk.ProcessObject.GetGlobalDefaultCoordinateTolerance()
    parameters = {"setting": {"geometryTolerance": 1000.0}, "featureClass": {"shape": None}}
    extract_features(scan, region, FeatureSettings(name="custom", parameters=parameters))
    assert sitk.ProcessObject.GetGlobalDefaultCoordinateTolerance() == before


def test_a_ring_needs_the_scans_grid() -> None:
    scan, region = scan_and_region()
    with pytest.raises(UnusableCase) as caught:
        region_of(on_another_grid(region, "finer"), "ring(1;5mm)", scan)
    assert caught.value.code == "geometry"
    made = region_of(on_another_grid(region, "cut to a box"), "ring(1;5mm)", scan)
    assert voxel_array(made.image).shape == voxel_array(scan).shape
