"""The segmenter finds the phantom's pancreas, on the scan's own grid, however it is stored."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from pancseg import scans, segmentation
from pancseg.phantom import Phantom
from pancseg.segmentation import Segmenter
from pancseg.segmentation.overlap import dice
from pancseg.unusable import UnusableCase


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return segmentation.load("monet_phantom", threads=2)


@pytest.fixture(scope="module")
def upright(segmenter: Segmenter, phantom: Phantom) -> sitk.Image:
    return segmenter.segment(phantom.image)


def test_the_phantoms_pancreas_is_found(upright: sitk.Image, phantom: Phantom) -> None:
    assert dice(scans.array(upright) > 0, scans.array(phantom.mask) > 0) > 0.75


@pytest.mark.parametrize("axes", ["RAS", "SLP", "PIR"])
def test_the_axes_of_the_file_do_not_matter(
    axes: str, segmenter: Segmenter, phantom: Phantom, upright: sitk.Image
) -> None:
    turned = scans.orient(phantom.image, axes)
    mask = segmenter.segment(turned)
    assert mask.GetPixelID() == sitk.sitkUInt8
    for geometry in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(mask, geometry)() == getattr(turned, geometry)()
    np.testing.assert_array_equal(scans.array(scans.orient(mask, "LPS")), scans.array(upright))


def test_a_scan_without_pancreas_is_said_to_have_none(segmenter: Segmenter) -> None:
    air = sitk.GetImageFromArray(np.full((4, 64, 64), -1000, np.int16))
    with pytest.raises(UnusableCase, match="no pancreas found in 4 slices") as caught:
        segmenter.segment(air)
    assert caught.value.code == "no_pancreas"


def test_the_number_of_slices_at_a_time_does_not_matter(
    segmenter: Segmenter, phantom: Phantom, upright: sitk.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pancseg.segmentation.predict.SLICES_PER_BATCH", 5)
    changed = scans.array(segmenter.segment(phantom.image)) != scans.array(upright)
    assert changed.mean() < 1e-5
