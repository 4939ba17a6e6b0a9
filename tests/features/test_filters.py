"""Filters: scipy's and PyWavelets's own values, and IBSI 2's reference values on the CT phantom."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import pywt
import SimpleITK as sitk
from scipy import ndimage

from pancseg import read_scan
from pancseg.features.ibsi import filters
from pancseg.features.ibsi.compute import filtered, prepare
from pancseg.features.ibsi.settings import IbsiSettings, read
from pancseg.selftest.configurations import CT_IMAGE, CT_MASK

NOISE = np.random.default_rng(0).normal(size=(30, 32, 34))
CORE = (slice(8, 22),) * 3


def test_laplacian_of_gaussian_is_scipys() -> None:
    spacing_mm, sigma_mm = (2.5, 2.0, 1.5), 3.0
    whole = ndimage.gaussian_laplace(NOISE, [sigma_mm / s for s in spacing_mm], truncate=4)
    ours = filters.laplacian_of_gaussian(NOISE, sigma_mm, spacing_mm, CORE)
    np.testing.assert_allclose(ours, whole[CORE], atol=1e-14)
    flat = filters.laplacian_of_gaussian(NOISE, sigma_mm, spacing_mm, CORE, planar=True)
    one = ndimage.gaussian_laplace(NOISE[9], [sigma_mm / s for s in spacing_mm[1:]], truncate=4)
    np.testing.assert_allclose(flat[1], one[CORE[1:]], atol=1e-14)


@pytest.mark.parametrize("wavelet", ["coif1", "haar", "db3"])
def test_wavelets_are_those_of_pywavelets(wavelet: str) -> None:
    (coefficients,) = pywt.swtn(NOISE, wavelet, level=1, axes=(2, 1, 0))
    ours = dict(filters.wavelets(NOISE, wavelet, CORE))
    assert len(ours) == 8
    for band, values in ours.items():
        theirs = coefficients[band.replace("L", "a").replace("H", "d")]
        np.testing.assert_allclose(values, theirs[CORE], atol=1e-12)


@pytest.fixture(scope="module")
def phantom(data: Path) -> tuple[sitk.Image, sitk.Image]:
    folder = data / "ibsi"
    return read_scan(folder / CT_IMAGE), sitk.Cast(read_scan(folder / CT_MASK) > 0, 1)


def settings(case: str) -> IbsiSettings:
    """Return IBSI 2's configuration A (slices as they are) or B (1 mm, cubic)."""
    setting = {"resegmentRange": [-1000, 400]}
    if case == "B":
        setting |= {"resampledPixelSpacing": [1, 1, 1], "interpolator": "sitkBSpline"}
    image_type = {"Original": {}, "LoG": {"sigma": [1.5]}}
    parameters = {"setting": setting | {"force2D": case == "A"}, "imageType": image_type}
    return read(parameters, {})


def statistics(v: np.ndarray) -> dict[str, float]:
    p10, p25, p50, p75, p90 = np.percentile(v, [10, 25, 50, 75, 90])
    mean, deviation = v.mean(), v.std()
    middle = v[(v >= p10) & (v <= p90)]
    return {
        "stat_mean": mean,
        "stat_var": v.var(),
        "stat_skew": ((v - mean) ** 3).mean() / deviation**3,
        "stat_kurt": ((v - mean) ** 4).mean() / deviation**4 - 3,
        "stat_median": p50,
        "stat_min": v.min(),
        "stat_p10": p10,
        "stat_p90": p90,
        "stat_max": v.max(),
        "stat_iqr": p75 - p25,
        "stat_range": np.ptp(v),
        "stat_mad": np.abs(v - mean).mean(),
        "stat_rmad": np.abs(middle - middle.mean()).mean(),
        "stat_medad": np.abs(v - p50).mean(),
        "stat_cov": deviation / mean,
        "stat_qcod": (p75 - p25) / (p75 + p25),
        "stat_energy": (v**2).sum(),
        "stat_rms": np.sqrt((v**2).mean()),
    }


def assert_reference(data: Path, filter_id: str, values: np.ndarray) -> None:
    path = data / "ibsi/ibsi_2_reference/reference_feature_values/reference_values.csv"
    found, compared = statistics(values), 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, delimiter=";"):
            if row["filter_id"] == filter_id and row["consensus_value"]:
                compared += 1
                difference = abs(found[row["feature_tag"]] - float(row["consensus_value"]))
                assert difference <= float(row["tolerance"]), row
    assert compared == 18


@pytest.mark.parametrize(
    ("case", "name", "filter_id"),
    [
        ("A", "original", "1.A"),
        ("B", "original", "1.B"),
        ("A", "log-sigma-1-5-mm-2D", "3.A"),
        ("B", "log-sigma-1-5-mm-3D", "3.B"),
    ],
)
def test_ibsi_2_unfiltered_and_laplacian_of_gaussian(
    case: str, name: str, filter_id: str, data: Path, phantom: tuple[sitk.Image, sitk.Image]
) -> None:
    chosen = settings(case)
    prepared = prepare(*phantom, chosen)
    images = {n: image for n, image, _ in filtered(prepared, chosen)}
    assert_reference(data, filter_id, images[name][prepared.inside])


def rotations(axes: int) -> Iterator[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """Yield all right-angled rotations: the filter along each axis, and whether it is turned."""
    for order in permutations(range(axes)):
        for turned in product((False, True), repeat=axes):
            signs = np.diag([-1 if t else 1 for t in turned])
            if np.linalg.det(signs @ np.eye(axes)[list(order)]) > 0:
                yield order, turned


def rotation_invariant(
    image: np.ndarray, stages: list[list[np.ndarray]], axes: tuple[int, ...]
) -> np.ndarray:
    """Average a separable filter's responses over all rotations of it."""
    whole, total, n = (slice(None),) * 3, np.zeros_like(image), 0
    for order, turned in rotations(len(axes)):
        response = image
        for taps in stages:
            for axis, filter_, turn in zip(axes, order, turned, strict=True):
                odd = np.append(taps[filter_], 0.0)
                response = filters.along(response, odd[::-1] if turn else odd, axis, whole)
        total, n = total + response, n + 1
    return total / n


def spread(taps: np.ndarray) -> np.ndarray:
    """Return a filter of the second level: zeros between its taps."""
    wide = np.zeros(2 * len(taps))
    wide[::2] = taps
    return wide


@pytest.mark.parametrize("filter_id", ["6.A", "6.B", "7.A", "7.B"])
def test_ibsi_2_wavelets(
    filter_id: str, data: Path, phantom: tuple[sitk.Image, sitk.Image]
) -> None:
    """Daubechies 3, LH(H) of the first and HH(H) of the second level, averaged over rotations."""
    level, case = filter_id.split(".")
    low, high = (np.array(t) for t in pywt.Wavelet("db3").filter_bank[:2])
    axes = (2, 1) if case == "A" else (2, 1, 0)
    log_reach = {"Original": {}, "LoG": {"sigma": [6.0]}}  # a margin as wide as two levels need
    parameters = {"setting": {"resegmentRange": [-1000, 400]}, "imageType": log_reach}
    if case == "B":
        parameters["setting"] |= {
            "resampledPixelSpacing": [1, 1, 1],
            "interpolator": "sitkBSpline",
        }
    chosen = read(parameters, {})
    prepared = prepare(*phantom, chosen)
    first = [low] * (len(axes) - 1) + [high] if level == "6" else [low] * len(axes)
    stages = [first] if level == "6" else [first, [spread(high)] * len(axes)]
    response = rotation_invariant(prepared.image, stages, axes)
    assert_reference(data, filter_id, response[prepared.core][prepared.inside])
