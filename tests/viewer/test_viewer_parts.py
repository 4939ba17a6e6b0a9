"""What of a scan the page gets, upright and in its place, whatever the file's own axes are."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pancseg import read_scan
from pancseg.scans.arrays import voxel_array
from pancseg.scans.bounding_box import BoundingBox
from pancseg.scans.geometry import orient
from pancseg.viewer.nifti import nifti_bytes
from pancseg.viewer.part import MOST_VOXELS, Part, part_around, part_from, reduced_whole, whole
from pancseg.viewer.volumes import Volume

LARGE = (512, 512, 1000)
_PAIRS = [pairs for order in permutations(("RL", "AP", "SI")) for pairs in product(*order)]
AXES = ["".join(letters) for letters in _PAIRS]


def sent(volume: Volume, part: Part, folder: Path) -> sitk.Image:
    """Return what the page gets, read by the library."""
    (folder / "sent.nii").write_bytes(
        b"".join(nifti_bytes(part.cut(volume.voxels), volume.affine(part)))
    )
    return read_scan(folder / "sent.nii")


def same_place(a: sitk.Image, b: sitk.Image) -> bool:
    ends = [(0, 0, 0), tuple(n - 1 for n in a.GetSize())]
    points = [[i.TransformIndexToPhysicalPoint(end) for end in ends] for i in (a, b)]
    return a.GetSize() == b.GetSize() and np.allclose(*points, atol=1e-3)


@pytest.mark.parametrize("axes", AXES)
def test_any_axes_come_upright_and_in_place(block: sitk.Image, axes: str, tmp_path: Path) -> None:
    volume = Volume(orient(block, axes))
    shown = sent(volume, whole(volume.size), tmp_path)
    wanted = orient(block, "RAS")
    assert np.array_equal(voxel_array(shown), voxel_array(wanted))
    assert same_place(shown, wanted)
    own = np.zeros(volume.image.GetSize()[::-1], np.int16)
    volume.upright(own)[:] = voxel_array(wanted)  # back to the file's axes, as a mask goes
    assert np.array_equal(own, voxel_array(volume.image))


@pytest.mark.parametrize("axes", ["LPS", "ASR", "IRP"])
def test_a_part_lies_where_its_voxels_lie(block: sitk.Image, axes: str, tmp_path: Path) -> None:
    volume = Volume(orient(block, axes))
    whole = orient(block, "RAS")
    size = whole.GetSize()
    part = Part((0, 0, 2), (size[0], size[1], 3), (1, 1, 1), volume.size)
    assert same_place(sent(volume, part, tmp_path), whole[:, :, 2:5])
    assert np.array_equal(voxel_array(sent(volume, part, tmp_path)), voxel_array(whole)[2:5])
    reduced = Part((0, 0, 0), tuple(-(-n // 2) for n in size), (2, 2, 2), volume.size)
    assert same_place(sent(volume, reduced, tmp_path), whole[::2, ::2, ::2])
    assert np.array_equal(
        voxel_array(sent(volume, reduced, tmp_path)), voxel_array(whole)[::2, ::2, ::2]
    )


def test_fractions_and_large_values_are_rounded_and_clipped(block: sitk.Image) -> None:
    scan = sitk.Cast(block, sitk.sitkFloat32) + 0.4
    scan[0, 0, 0], scan[1, 0, 0] = 1e6, -1e6
    voxels = voxel_array(Volume(scan).image)
    assert voxels.dtype == np.int16
    assert (voxels[0, 0, 0], voxels[0, 0, 1]) == (32767, -32768)
    assert np.array_equal(voxels[1:], voxel_array(block)[1:])


SPACING = (0.8, 0.8, 1.0)


def test_of_a_large_scan_what_surrounds_the_mask_with_every_voxel() -> None:
    region = BoundingBox((400, 200, 150), (120, 140, 220))  # z, y, x
    part = part_around(LARGE, SPACING, region)
    assert MOST_VOXELS * 0.97 < part.voxels <= MOST_VOXELS
    assert not part.reduced
    below = [region.start[2 - axis] - part.start[axis] for axis in range(3)]
    ends = [part.start[axis] + part.size[axis] for axis in range(3)]
    above = [ends[axis] - region.start[2 - axis] - region.size[2 - axis] for axis in range(3)]
    margins = [n * side for ns in (below, above) for n, side in zip(ns, SPACING, strict=True)]
    assert max(margins) - min(margins) < 1.5 * max(SPACING), "equally wide, in mm"
    assert min(margins) > 40
    x, y, z = part.size
    first = part.start[2] + 1
    assert part.note == (
        f"slices {first}–{first + z - 1} of 1,000, counted from the feet; "
        f"of each {x}×{y} of 512×512 voxels, around the mask"
    )


@pytest.mark.parametrize("corner", [(0, 0, 0), (990, 505, 500)])
def test_a_region_at_the_scans_edge_is_shown_whole(corner: tuple[int, int, int]) -> None:
    region = BoundingBox(corner, (10, 7, 12))
    part = part_around(LARGE, SPACING, region)
    assert part.voxels <= MOST_VOXELS
    for axis in range(3):
        start, size = region.start[2 - axis], region.size[2 - axis]
        assert 0 <= part.start[axis] <= start
        assert start + size <= part.start[axis] + part.size[axis] <= LARGE[axis]


@pytest.mark.parametrize(
    ("region", "start"),
    [(None, 454), (BoundingBox((300, 0, 0), (200, 512, 512)), 354)],
    ids=["no mask", "a mask that is too large"],
)
def test_without_a_box_that_fits_it_is_a_run_of_slices(
    region: BoundingBox | None, start: int
) -> None:
    part = part_around(LARGE, SPACING, region)
    assert (part.start, part.size) == ((0, 0, start), (512, 512, 91))
    assert part.note == f"slices {start + 1}–{start + 91} of 1,000, counted from the feet"


def test_any_slice_of_a_large_scan_can_be_asked_for() -> None:
    assert part_from(LARGE, 100).start == (0, 0, 100)
    assert part_from(LARGE, 999).start == (0, 0, 909)


@pytest.mark.parametrize("of", [LARGE, (512, 512, 2000), (2048, 2048, 500), (10, 10, 900_000)])
def test_the_whole_scan_is_reduced_to_what_a_browser_holds(of: tuple[int, int, int]) -> None:
    part = reduced_whole(of, (0.7, 0.7, 1.0))
    assert part.voxels <= 64_000_000
    assert part.voxels > 64_000_000 / 9
    assert part.reduced
    assert "reduced" in part.note
    last = [a + (n - 1) * k for a, n, k in zip(part.start, part.size, part.step, strict=True)]
    assert all(end < n <= end + k for end, n, k in zip(last, of, part.step, strict=True))


def test_a_wide_slice_is_still_shown() -> None:
    assert part_around((20_000, 20_000, 3), SPACING, None).size == (20_000, 20_000, 1)
