"""Regions of a label map are the voxels that their expression says, to the voxel."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg import UnusableCase, extract_features
from pancseg.cohort.roi import parse_roi
from pancseg.features.regions import region_of
from pancseg.phantom import Phantom
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.geometry import orient

SPACING_ZYX = (2.5, 0.9, 0.8)


@pytest.fixture
def label_map(block: sitk.Image) -> sitk.Image:
    """Pancreas 1, tumour 2 and vessel 4 on a small oblique, anisotropic grid."""
    voxels = np.zeros((6, 7, 8), np.uint8)
    voxels[2:4, 3, 2:5] = 1
    voxels[3, 3, 4] = 2
    voxels[1:5, 5, 3] = 4
    return image_like(voxels, block)


def brute_force_ring(
    voxels: NDArray[np.uint8], labels: list[int], width_mm: float
) -> NDArray[np.bool_]:
    """Measure from each voxel to each voxel of the labels."""
    scale = np.array(SPACING_ZYX)
    inside = np.argwhere(np.isin(voxels, labels)) * scale
    everywhere = np.argwhere(np.full(voxels.shape, True)) * scale
    nearest = np.linalg.norm(everywhere[:, None] - inside[None], axis=2).min(axis=1)
    return (nearest.reshape(voxels.shape) <= width_mm + 1e-4) & (voxels == 0)


def test_unions_and_differences(label_map: sitk.Image) -> None:
    voxels = voxel_array(label_map)
    for expression, labels, made_of in (
        ("2", [2], "2"),
        ("1,2", [1, 2], "1+2"),
        ("1,2,9", [1, 2], "1+2"),
        ("all", [1, 2, 4], "1+2+4"),
        ("all without 2,9", [1, 4], "1+4"),
        ("1,2 without 2", [1], "1"),
    ):
        region = region_of(label_map, expression)
        assert (region.labels, region.made_of) == (tuple(labels), made_of)
        np.testing.assert_array_equal(voxel_array(region.image), np.isin(voxels, labels))
        assert region.image.GetPixelID() == sitk.sitkUInt8
        assert region.image.GetDirection() == label_map.GetDirection()
        again = region_of(label_map, region.made_of)
        np.testing.assert_array_equal(voxel_array(again.image), voxel_array(region.image))


@pytest.mark.parametrize("width_mm", [0.8, 1, 2.5, 2.7, 4, 6, 100])
@pytest.mark.parametrize("labels", [[1, 2], [1], [2], [4], [1, 2, 4]])
def test_a_ring_is_what_brute_force_finds(
    label_map: sitk.Image, labels: list[int], width_mm: float
) -> None:
    """Its other labels are outside of it, whatever their distance."""
    expression = f"ring({','.join(map(str, labels))};{width_mm:g}mm)"
    region = region_of(label_map, expression)
    expected = brute_force_ring(voxel_array(label_map), labels, width_mm)
    np.testing.assert_array_equal(voxel_array(region.image), expected)
    assert region.made_of == expression


def test_a_spacing_rounded_by_its_file_still_reaches_the_edge(label_map: sitk.Image) -> None:
    label_map.SetSpacing([float(np.float32(side)) for side in label_map.GetSpacing()])
    assert label_map.GetSpacing()[0] > 0.8
    ring = voxel_array(region_of(label_map, "ring(1,2;0.8mm)").image)
    assert ring.sum() == 4  # both ends of both rows; rows and slices are farther apart


def test_a_ring_names_the_labels_that_were_there(label_map: sitk.Image) -> None:
    assert region_of(label_map, "ring(1,2,3;4mm)").made_of == "ring(1,2;4mm)"
    assert region_of(label_map, "ring(all without 4;4mm)").made_of == "ring(1,2;4mm)"


def test_a_ring_does_not_depend_on_the_size_of_the_volume(label_map: sitk.Image) -> None:
    """Distances are computed in a box; a larger volume gives the same ring."""
    ring = voxel_array(region_of(label_map, "ring(1,2;2mm)").image)
    padded = sitk.ConstantPad(label_map, [3, 4, 5], [2, 1, 6], 0)
    larger = voxel_array(region_of(padded, "ring(1,2;2mm)").image)
    np.testing.assert_array_equal(larger[5:-6, 4:-1, 3:-2], ring)
    assert larger.sum() == ring.sum()


@pytest.mark.parametrize("axes", ["LPS", "RAI", "SLP"])
def test_a_clipped_ring_looks_at_the_scan_where_it_lies(
    block: sitk.Image, label_map: sitk.Image, axes: str
) -> None:
    whole = voxel_array(region_of(label_map, "ring(1,2;6mm)").image)
    hu = voxel_array(block)
    region = region_of(orient(label_map, axes), "ring(1,2;6mm;-200..300HU)", block)
    found = voxel_array(region.image)
    np.testing.assert_array_equal(found, (whole == 1) & (hu >= -200) & (hu <= 300))
    assert 0 < found.sum() < whole.sum()
    assert region.made_of == "ring(1,2;6mm;-200..300HU)"


def test_a_clipped_ring_without_a_scan_is_a_mistake_of_the_caller(label_map: sitk.Image) -> None:
    with pytest.raises(ValueError, match="give the scan too"):
        region_of(label_map, "ring(1;5mm;0..100HU)")


@pytest.mark.parametrize(
    ("expression", "code", "message"),
    [
        ("3", "no_label", "the mask has no label 3; it has 1, 2, 4"),
        ("3,5", "no_label", "the mask has no label 3 or 5; it has 1, 2, 4"),
        ("ring(3;5mm)", "no_label", "the mask has no label 3; it has 1, 2, 4"),
        ("all without 1,2,4", "no_label", "no label other than 1, 2, 4; it has 1, 2, 4"),
        (
            "ring(1,2;0.5mm)",
            "empty_region",
            "ring(1,2;0.5mm) is empty: 0 voxels of 0.80×0.90×2.50 mm are within it, "
            "0 without a label; widen it",
        ),
        ("ring(1,2;2mm;5000..6000HU)", "empty_region", "none of them in its range of HU; widen"),
    ],
)
def test_regions_without_voxels_say_so_with_numbers(
    label_map: sitk.Image, block: sitk.Image, expression: str, code: str, message: str
) -> None:
    with pytest.raises(UnusableCase) as caught:
        region_of(label_map, expression, block)
    assert caught.value.code == code
    assert message in caught.value.fact
    assert "\n" not in caught.value.fact


def test_a_ring_full_of_other_labels_is_empty(block: sitk.Image) -> None:
    voxels = np.full((6, 7, 8), 4, np.uint8)
    voxels[3, 3, 3] = 1
    with pytest.raises(UnusableCase, match=r"\d+ voxels .* 0 without a label; widen") as caught:
        region_of(image_like(voxels, block), "ring(1;3mm)")
    assert caught.value.code == "empty_region"


def test_a_scan_on_another_grid_cannot_clip(label_map: sitk.Image, block: sitk.Image) -> None:
    with pytest.raises(UnusableCase) as caught:
        region_of(label_map, "ring(1;5mm;0..100HU)", block[:, :, :4])
    assert caught.value.code == "geometry"


def test_features_of_an_expression_are_those_of_its_mask(phantom: Phantom) -> None:
    ring = "ring(1;6mm;-200..300HU)"
    found = extract_features(phantom.image, phantom.mask, "pyradiomics_default", label=ring)
    region = region_of(phantom.mask, parse_roi(ring), phantom.image).image
    assert found == extract_features(phantom.image, region, "pyradiomics_default")
    with pytest.raises(ValueError, match="'1-2' is not a region expression"):
        extract_features(phantom.image, phantom.mask, label="1-2")
