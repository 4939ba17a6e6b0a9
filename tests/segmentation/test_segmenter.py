"""The segmenter finds the phantom's pancreas, on the scan's own grid, however it is stored."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from dense_weights import dense_weights
from scipy.ndimage import gaussian_filter1d

from pancseg import Segmenter, UnusableCase, load_segmenter
from pancseg.phantom import Phantom, make_phantom
from pancseg.scans.arrays import voxel_array
from pancseg.scans.geometry import orient
from pancseg.segmentation.along_z import REACH_MM, SIGMA_MM
from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.engines import ENGINES
from pancseg.segmentation.overlap import dice
from pancseg.segmentation.postprocess import BRIDGE, FOUND, one_organ


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter("monet_phantom", threads=2)


@pytest.fixture(scope="module")
def upright(segmenter: Segmenter, phantom: Phantom) -> sitk.Image:
    return segmenter.segment(phantom.image)


def test_the_phantoms_pancreas_is_found(upright: sitk.Image, phantom: Phantom) -> None:
    assert dice(voxel_array(upright) > 0, voxel_array(phantom.mask) > 0) > 0.75


@pytest.mark.parametrize("axes", ["RAS", "SLP", "PIR"])
def test_the_axes_of_the_file_do_not_matter(
    axes: str, segmenter: Segmenter, phantom: Phantom, upright: sitk.Image
) -> None:
    turned = orient(phantom.image, axes)
    mask = segmenter.segment(turned)
    assert mask.GetPixelID() == sitk.sitkUInt8
    for geometry in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(mask, geometry)() == getattr(turned, geometry)()
    np.testing.assert_array_equal(voxel_array(orient(mask, "LPS")), voxel_array(upright))


def test_a_scan_without_pancreas_is_said_to_have_none(segmenter: Segmenter) -> None:
    air = sitk.GetImageFromArray(np.full((4, 64, 64), -1000, np.int16))
    with pytest.raises(UnusableCase, match="no pancreas found in 4 slices") as caught:
        segmenter.segment(air)
    assert caught.value.code == "no_pancreas"


def test_the_number_of_slices_at_a_time_does_not_matter(
    segmenter: Segmenter, phantom: Phantom, upright: sitk.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenter.looking.networks, "at_once", 5)
    changed = voxel_array(segmenter.segment(phantom.image)) != voxel_array(upright)
    assert changed.mean() < 1e-5


def test_of_thin_slices_half_are_looked_at_and_the_mask_is_nearly_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    thick = make_phantom(4, size=(128, 128, 36), spacing_mm=(2.8, 2.8, 2.5)).image
    reference = sitk.Image(128, 128, 88, sitk.sitkInt16)
    reference.SetOrigin(thick.GetOrigin())
    reference.SetSpacing((2.8, 2.8, 1.0))
    thin = sitk.Resample(thick, reference, sitk.Transform(), sitk.sitkLinear, -1000.0)
    found, looked_at = [], []
    for height in (5.0, 0.0):
        segmenter = Segmenter(load_checkpoint("monet_phantom"), threads=2, least_height_mm=height)
        with caplog.at_level("DEBUG", logger="pancseg.segmentation"):
            found.append(voxel_array(segmenter.segment(thin)) > 0)
        looked_at += [int(r.args[0]) for r in caplog.records if "slices went" in r.msg][-1:]
    assert looked_at[0] <= 44
    assert looked_at[1] == 88
    assert 0.97 < dice(*found) < 1


def plain_mask(image: sitk.Image, checkpoint: Checkpoint) -> np.ndarray:
    """Every slice, by torch, smoothed by SciPy, the whole volume resampled by matrices."""
    voxels = voxel_array(image)
    x_mm, y_mm, _ = image.GetSpacing()
    settings = checkpoint.preprocessing
    shape = (voxels.shape[1], voxels.shape[2])
    (down_y, up_y), (down_x, up_x) = dense_weights(shape, (y_mm, x_mm), settings)
    low, high = settings.window_hu
    scaled = (np.clip(voxels.astype(np.float32), low, high) - low) / (high - low)
    slices = (down_y @ scaled @ down_x.T).astype(np.float32)
    torch_cpu = ENGINES["torch"](checkpoint, 2)
    probabilities = np.concatenate([torch_cpu(part) for part in np.array_split(slices, 4)])
    slice_mm = image.GetSpacing()[2]
    nearby = {"sigma": SIGMA_MM / slice_mm, "radius": int(REACH_MM / slice_mm)}
    total, count = (
        gaussian_filter1d(values, **nearby, axis=0, mode="constant")
        for values in (probabilities, np.ones_like(probabilities))
    )  # only slices of the scan count
    probabilities = up_y @ (total / count) @ up_x.T
    levels = np.where(probabilities >= 0.5, FOUND, np.where(probabilities >= 0.3, BRIDGE, 0))
    return one_organ(levels.astype(np.uint8), image.GetSpacing())


def test_all_that_is_done_for_speed_leaves_the_mask_as_it_is(segmenter: Segmenter) -> None:
    """Thin slices, so that most are skipped; voxels within 1e-5 of the threshold may differ."""
    image = make_phantom(4, size=(128, 128, 36), spacing_mm=(2.8, 2.8, 2.5)).image
    expected = plain_mask(image, segmenter.checkpoint)
    found = voxel_array(segmenter.segment(image)) > 0
    assert expected.sum() > 1000
    assert np.count_nonzero(found != expected) <= 1


def test_few_slices_are_looked_at_and_all_on_request(
    phantom: Phantom, caplog: pytest.LogCaptureFixture
) -> None:
    thin = sitk.ConstantPad(phantom.image, (0, 0, 20), (0, 0, 20), -1000.0)
    thin.SetSpacing((2.8, 2.8, 1.0))  # a flat patient: what is found is flat as well
    checkpoint = load_checkpoint("monet_phantom")
    with caplog.at_level("DEBUG", logger="pancseg.segmentation"):
        for height in (5.0, 0.0):
            Segmenter(checkpoint, threads=2, least_height_mm=height).segment(thin)
    few, every = (int(r.args[0]) for r in caplog.records if "slices went" in r.msg)
    assert few < every == thin.GetDepth()
