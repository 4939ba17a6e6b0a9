"""The shape class equals pyradiomics's, though it measures the surface cube by cube."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import SimpleITK as sitk
from radiomics.shape import RadiomicsShape

from pancseg.features.pyradiomics.shape import ShapeFeatures


def theirs(inside: np.ndarray, spacing_mm: tuple[float, ...]) -> dict[str, float]:
    mask = sitk.GetImageFromArray(inside.astype(np.uint8))
    mask.SetSpacing(spacing_mm[::-1])
    return RadiomicsShape(mask, mask, label=1).execute()


@pytest.mark.parametrize("seed", range(20))
def test_any_region_measures_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inside = rng.random(rng.integers(2, 7, 3)) < rng.uniform(0.3, 0.9)
    inside.flat[:2] = True
    spacing_mm = tuple(float(s) for s in rng.uniform(0.5, 3, 3))
    ours = ShapeFeatures(inside, spacing_mm, sample_covariance=False).execute()
    expected = theirs(inside, spacing_mm)
    assert list(ours) == list(expected)
    for name, value in expected.items():
        assert float(ours[name]) == pytest.approx(float(value), rel=1e-10, abs=1e-7), name


def test_a_sphere_has_the_volume_and_diameter_of_a_sphere() -> None:
    z, y, x = np.ogrid[-10:11, -20:21, -20:21]
    inside = (2 * z) ** 2 + y**2 + x**2 <= 18**2
    found = ShapeFeatures(inside, (2.0, 1.0, 1.0), sample_covariance=True).execute()
    assert float(found["MeshVolume"]) == pytest.approx(4 / 3 * np.pi * 18**3, rel=0.02)
    assert float(found["Maximum3DDiameter"]) == pytest.approx(37.5, abs=1)
    assert float(found["Sphericity"]) > 0.85


def test_ibsi_divides_the_covariance_by_n_minus_one() -> None:
    inside = np.ones((2, 3, 4), bool)
    ours, plain = (
        float(
            ShapeFeatures(inside, (1.0, 1.0, 1.0), sample_covariance=s).execute()["MajorAxisLength"]
        )
        for s in (True, False)
    )
    assert ours / plain == pytest.approx(np.sqrt(24 / 23))


def test_a_formula_that_fails_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    shape = ShapeFeatures(np.ones((1, 1, 1), bool), (1.0, 1.0, 1.0), sample_covariance=False)
    with caplog.at_level(logging.DEBUG):
        shape.execute()
    assert not caplog.records
