"""Axes of two or three voxels are resampled by a spline with mirrored edges, every time alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from pancseg import FeatureSettings
from pancseg.features.extract import compute_features
from pancseg.scans.arrays import image_like

SHAPES = [(2, 12, 14), (12, 2, 14), (12, 14, 2), (2, 2, 14), (2, 2, 2), (3, 12, 14), (3, 3, 3)]
SPACING_MM, NEW_MM = np.array([4.0, 3.0, 3.0]), np.array([2.0, 2.2, 2.2])


def scan_and_region(shape: tuple[int, ...], kind: type) -> tuple[sitk.Image, sitk.Image]:
    """Return noise (z, y, x), and a region of all voxels but those at the ends of long axes."""
    voxels = np.random.default_rng(7).integers(-100, 200, shape).astype(kind)
    scan = sitk.GetImageFromArray(voxels)
    scan.SetSpacing(SPACING_MM[::-1].tolist())
    inside = np.zeros(shape, np.uint8)
    inside[tuple(slice(2, -2) if n > 3 else slice(None) for n in shape)] = 1
    return scan, image_like(inside, scan)


def spline(scan: sitk.Image, region: sitk.Image) -> NDArray[np.float64]:
    """Return the resampled values within the region, by SciPy."""
    shape = np.array(scan.GetSize()[::-1])
    count = np.ceil(shape * SPACING_MM / NEW_MM).astype(int)
    first = 0.5 * (NEW_MM - SPACING_MM) / SPACING_MM
    places = [
        f + np.arange(n) * step
        for f, n, step in zip(first, count, NEW_MM / SPACING_MM, strict=True)
    ]
    at = np.meshgrid(*places, indexing="ij")
    voxels, inside = (sitk.GetArrayFromImage(image).astype(float) for image in (scan, region))
    nearest = [np.floor(each + 0.5).astype(int) for each in at]
    values: NDArray[np.float64] = ndimage.map_coordinates(voxels, at, order=3, mode="mirror")
    return values[ndimage.map_coordinates(inside, nearest, order=0, mode="constant") > 0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("setting", [{}, {"correctMask": True}, {"interpolator": "sitkBSpline"}])
def test_the_spline_is_scipys(shape: tuple[int, ...], setting: dict[str, Any]) -> None:
    scan, region = scan_and_region(shape, np.float64)
    parameters = {
        "setting": {"resampledPixelSpacing": NEW_MM[::-1].tolist(), **setting},
        "featureClass": {"firstorder": ["Mean", "Minimum", "Maximum", "Energy"]},
    }
    settings = FeatureSettings(name="custom", parameters=parameters)
    expected = spline(scan, region)
    for junk in (0.0, 1e30, -7.0):
        [np.full(size, junk) for size in range(1, 4000, 97)]  # freed at once, and used again
        found = compute_features(scan, region, settings).values
        assert found["original_firstorder_Mean"] == pytest.approx(expected.mean(), rel=1e-9)
        assert found["original_firstorder_Minimum"] == pytest.approx(expected.min(), rel=1e-9)
        assert found["original_firstorder_Maximum"] == pytest.approx(expected.max(), rel=1e-9)
        assert found["original_firstorder_Energy"] == pytest.approx(np.sum(expected**2), rel=1e-9)


def test_whole_numbers_are_rounded() -> None:
    scan, region = scan_and_region((2, 12, 14), np.int16)
    parameters = {
        "setting": {"resampledPixelSpacing": NEW_MM[::-1].tolist()},
        "imageType": {"Original": {}, "Square": {}, "Wavelet": {}, "Gradient": {}},
        "featureClass": {"firstorder": ["Mean"]},
    }
    settings = FeatureSettings(name="custom", parameters=parameters)
    found = [compute_features(scan, region, settings).values for _ in range(3)]
    expected = np.rint(spline(scan, region)).mean()
    assert found[0]["original_firstorder_Mean"] == pytest.approx(expected, rel=1e-12)
    assert found[0] == found[1] == found[2]


def test_beyond_the_scan_it_is_0_as_on_longer_axes() -> None:
    """A new grid can end beyond the scan's last voxel; filters see what is there."""
    means = []
    for thick in (2, 8):
        voxels = np.full((thick, 12, 12), 100, np.int16)
        scan = sitk.GetImageFromArray(voxels)
        scan.SetSpacing((3, 3, 4))
        inside = np.zeros_like(voxels)
        inside[-2:, 2:-2, 2:-2] = 1
        parameters = {
            "setting": {"resampledPixelSpacing": [3, 3, 4 * thick / (thick + 0.4)]},
            "imageType": {"Wavelet": {"wavelet": "haar"}},
            "featureClass": {"firstorder": ["Minimum"]},
        }
        region = image_like(inside.astype(np.uint8), scan)
        settings = FeatureSettings(name="custom", parameters=parameters)
        means.append(
            compute_features(scan, region, settings).values["wavelet-LLL_firstorder_Minimum"]
        )
    assert means[0] == pytest.approx(means[1], rel=1e-6)
