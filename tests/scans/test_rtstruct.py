"""An RTSTRUCT is a mask on its scan's grid, right to the voxel."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from rtstruct_file import DrawnOn, Points, in_mm, outlines, write_rtstruct

from pancseg.errors import UnusableCase
from pancseg.features.regions import region_of
from pancseg.scans.arrays import voxel_array
from pancseg.scans.dicom.contours import label_map_of
from pancseg.scans.dicom.identity import DicomIdentity, mark_identity
from pancseg.scans.dicom.structure_set import Contour, Roi
from pancseg.scans.geometry import has_same_grid, orient
from pancseg.scans.masks import named_segments, preview_mask, read_mask
from pancseg.scans.reading import Preview
from pancseg.scans.segments import segments_of

PANCREAS = np.zeros((6, 7, 8), bool)
PANCREAS[1:4, 2:6, 2:7] = True
PANCREAS[2, 3, 3:5] = False
TUMOUR = np.zeros_like(PANCREAS)
TUMOUR[3:5, 4:7, 4:6] = True
SERIES = DrawnOn("1.2.3.19470312", "1.2.4.19470312", ("1.2.5.1", "1.2.5.2"))


def region(contours: Sequence[Points]) -> Roi:
    """Return a region as reading a file gives it."""
    texts = ["\\".join(f"{value:.10g}" for value in np.ravel(points)) for points in contours]
    found = (
        Contour("CLOSED_PLANAR", len(p), t.encode()) for p, t in zip(contours, texts, strict=True)
    )
    return Roi(1, "pancreas", "", "", tuple(found))


def drawn(path: Path, name: str, scan: sitk.Image) -> NDArray[np.bool_]:
    mask = read_mask(path, scan)
    assert has_same_grid(mask, scan)
    (segment,) = (each for each in segments_of(mask) if each.name == name)
    found: NDArray[np.bool_] = np.isin(voxel_array(mask), segment.inside)
    return found


def test_regions_that_overlap_keep_all_their_voxels(tmp_path: Path, block: sitk.Image) -> None:
    regions = {"pancreas": outlines(PANCREAS, block), "tumour": outlines(TUMOUR, block)}
    path = write_rtstruct(tmp_path / "rs.dcm", regions)
    assert (PANCREAS & TUMOUR).any()
    assert np.array_equal(drawn(path, "pancreas", block), PANCREAS)
    assert np.array_equal(drawn(path, "tumour", block), TUMOUR)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "PIR", "SRA", "ILP"])
def test_the_scan_may_have_any_orientation(tmp_path: Path, block: sitk.Image, axes: str) -> None:
    path = write_rtstruct(tmp_path / "rs.dcm", {"pancreas": outlines(PANCREAS, block)})
    mask = orient(sitk.Cast(read_mask(path, orient(block, axes)) != 0, sitk.sitkUInt8))
    assert np.array_equal(voxel_array(mask) != 0, PANCREAS)


@given(arrays.arrays(bool, (2, 4, 5)).filter(np.any), st.floats(-0.7, 0.7))
def test_any_mask_on_any_tilted_grid_is_found_again(mask: NDArray[np.bool_], angle: float) -> None:
    scan = sitk.Image(5, 4, 2, sitk.sitkInt16)
    scan.SetDirection(sitk.Euler3DTransform((0, 0, 0), angle, angle / 2, -angle).GetMatrix())
    scan.SetSpacing((0.7, 0.8, 3.0))
    scan.SetOrigin((-212.3, 11.1, -711.9))
    found, (segment,) = label_map_of([region(outlines(mask, scan))], scan)
    assert segment.inside == (1,)
    assert np.array_equal(voxel_array(found) == 1, mask)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_any_encoding_is_read(tmp_path: Path, block: sitk.Image, syntax: UID) -> None:
    regions = {"pancreas": outlines(PANCREAS, block)}
    path = write_rtstruct(tmp_path / "rs.dcm", regions, syntax=syntax)
    assert np.array_equal(drawn(path, "pancreas", block), PANCREAS)


NAMES = ["Bauchspeicheldrüse", "Doe^Jane", "a \"b\" 'c'", "x" * 90, "  Pancreas ", "胰腺"]


def test_names_are_kept_as_they_are(tmp_path: Path, block: sitk.Image) -> None:
    contours = outlines(PANCREAS, block)
    path = write_rtstruct(tmp_path / "rs.dcm", dict.fromkeys(NAMES, contours))
    names = [segment.name for segment in named_segments(path)]
    assert names == [name.strip() for name in NAMES]
    assert [segment.values for segment in named_segments(path)] == [(n,) for n in range(1, 7)]
    assert names == [segment.name for segment in segments_of(read_mask(path, block))]


def test_a_region_without_a_name_has_its_label_or_the_meaning_of_its_code(
    tmp_path: Path, block: sitk.Image
) -> None:
    def rename(ds: FileDataset) -> None:
        code = Dataset()
        code.CodeMeaning = "Pancreas"
        ds.StructureSetROISequence[0].ROIName = ""
        ds.RTROIObservationsSequence[0].ROIObservationLabel = "organ"
        ds.RTROIObservationsSequence[0].RTROIIdentificationCodeSequence = [code]

    regions = {"x": outlines(PANCREAS, block)}
    path = write_rtstruct(tmp_path / "rs.dcm", regions, change=rename)
    (segment,) = named_segments(path)
    assert (segment.name, segment.coded) == ("organ", "Pancreas")


def test_a_region_that_cannot_be_used_leaves_the_others(tmp_path: Path, block: sitk.Image) -> None:
    regions = {
        "isocentre": [],
        "pancreas": outlines(PANCREAS, block),
        "mass": outlines(TUMOUR, block),
    }

    def spoil(ds: FileDataset) -> None:
        for contour in ds.ROIContourSequence[2].ContourSequence:
            contour.ContourGeometricType = "OPEN_PLANAR"

    mask = read_mask(write_rtstruct(tmp_path / "rs.dcm", regions, change=spoil), block)
    assert np.array_equal(voxel_array(region_of(mask, "pancreas").image) != 0, PANCREAS)
    for label, code, fact in (
        ("isocentre", "empty_mask", "segment isocentre: it has no contours"),
        ("mass", "empty_mask", "segment mass: 6 of its 6 contours are not closed"),
        ("pancreas,mass", "empty_mask", "segment mass"),
        (None, "empty_mask", "segment mass"),
    ):
        with pytest.raises(UnusableCase, match=fact) as refused:
            region_of(mask, label)
        assert refused.value.code == code


def test_two_regions_of_one_name_are_told_apart_by_number(
    tmp_path: Path, block: sitk.Image
) -> None:
    regions = {"pancreas": outlines(PANCREAS, block), "Pancreas": outlines(TUMOUR, block)}
    mask = read_mask(write_rtstruct(tmp_path / "rs.dcm", regions), block)
    with pytest.raises(UnusableCase, match=r"fits 2 segments .* give the number"):
        region_of(mask, "pancreas")
    assert np.array_equal(voxel_array(region_of(mask, 2).image) != 0, TUMOUR)


def _first(ds: FileDataset) -> Dataset:
    contour: Dataset = ds.ROIContourSequence[0].ContourSequence[0]
    return contour


def _set(keyword: str, value: object) -> Callable[[FileDataset], None]:
    return lambda ds: setattr(_first(ds), keyword, value)


@pytest.mark.parametrize(
    ("change", "code", "fact"),
    [
        (_set("ContourGeometricType", "POINT"), "empty_mask", r"1 of its 13 .*\(POINT\)"),
        (_set("ContourGeometricType", "Doe"), "empty_mask", r"1 of its 13 .*\(unknown\)"),
        (_set("ContourGeometricType", None), "empty_mask", r"1 of its 13 .*\(without a type\)"),
        (_set("NumberOfContourPoints", 7), "unreadable", r"it has 4 points \(expected 7\)"),
        (_set("ContourData", None), "unreadable", "it has 0 coordinates"),
        (_set("ContourData", ["1", "2"]), "unreadable", "it has 2 coordinates"),
        (lambda ds: delattr(_first(ds), "ContourData"), "unreadable", "it has 0 coordinates"),
        (lambda ds: ds.ROIContourSequence.clear(), "empty_mask", "it has no contours"),
        (lambda ds: delattr(ds, "ROIContourSequence"), "empty_mask", "it has no contours"),
        (lambda ds: ds.StructureSetROISequence.clear(), "empty_mask", "no region of interest"),
        (lambda ds: delattr(ds, "StructureSetROISequence"), "empty_mask", "no region of interest"),
        (
            lambda ds: setattr(ds.StructureSetROISequence[0], "ROINumber", None),
            "unreadable",
            "ROINumber is missing",
        ),
        (
            lambda ds: ds.StructureSetROISequence.append(ds.StructureSetROISequence[0]),
            "unreadable",
            "two regions have the ROINumber 1",
        ),
        (
            lambda ds: setattr(ds.file_meta, "TransferSyntaxUID", DeflatedExplicitVRLittleEndian),
            "unreadable",
            "'Deflated Explicit VR Little Endian' is not supported; export it uncompressed",
        ),
    ],
)
def test_what_cannot_be_read_is_told(
    tmp_path: Path,
    block: sitk.Image,
    change: Callable[[FileDataset], object],
    code: str,
    fact: str,
) -> None:
    regions = {"pancreas": outlines(PANCREAS, block)}
    path = write_rtstruct(tmp_path / "rs.dcm", regions, change=change)
    with pytest.raises(UnusableCase, match=fact) as refused:
        read_mask(path, block)
    assert refused.value.code == code
    assert "Doe" not in refused.value.fact


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("nan", "a coordinate is not finite"),
        ("inf", "a coordinate is not finite"),
        ("3,5", "a coordinate is no number"),
        ("Doe", "a coordinate is no number"),
        ("", "a coordinate is no number"),
        ("1e9", "more than 1,000,000 voxels away"),
    ],
)
def test_coordinates_that_cannot_be_are_told(
    tmp_path: Path, block: sitk.Image, text: str, fact: str
) -> None:
    path = write_rtstruct(tmp_path / "rs.dcm", {"pancreas": outlines(PANCREAS, block)})
    wanted = f"{outlines(PANCREAS, block)[0][0, 0]:.10g}".encode()
    content = path.read_bytes()
    assert wanted in content
    path.write_bytes(content.replace(wanted, text.encode().ljust(len(wanted)), 1))
    with pytest.raises(UnusableCase, match=f"region 'pancreas': .*{fact}"):
        read_mask(path, block)


@pytest.mark.parametrize("keep", [400, 900, -200, -1])
def test_a_file_that_is_cut_off_is_told(tmp_path: Path, block: sitk.Image, keep: int) -> None:
    path = write_rtstruct(tmp_path / "rs.dcm", {"pancreas": outlines(PANCREAS, block)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnusableCase, match=r"the RTSTRUCT cannot be read: .*copy or export"):
        read_mask(path, block)


@pytest.mark.parametrize(
    ("scan", "fact"),
    [
        (SERIES, ""),
        (SERIES._replace(frame_uid="1.9"), "another frame of reference"),
        (SERIES._replace(series_uid="1.9", image_uids=("1.9.1",)), "another DICOM series"),
    ],
)
def test_the_series_on_which_it_was_drawn_is_asked_for(
    tmp_path: Path, block: sitk.Image, scan: DrawnOn, fact: str
) -> None:
    path = write_rtstruct(tmp_path / "rs.dcm", {"pancreas": outlines(PANCREAS, block)}, SERIES)
    mark_identity(
        block,
        DicomIdentity(
            frozenset({scan.frame_uid}), frozenset({scan.series_uid}), frozenset(scan.image_uids)
        ),
    )
    if not fact:
        assert np.array_equal(drawn(path, "pancreas", block), PANCREAS)
        return
    with pytest.raises(UnusableCase, match=fact) as refused:
        read_mask(path, block)
    assert refused.value.code == "geometry"
    assert "19470312" not in refused.value.fact


def test_without_a_scan_there_are_names_but_no_voxels(tmp_path: Path, block: sitk.Image) -> None:
    path = write_rtstruct(tmp_path / "rs.dcm", {"pancreas": outlines(PANCREAS, block)})
    with pytest.raises(UnusableCase, match="no grid of voxels; give its scan, or a mask"):
        read_mask(path)
    size = preview_mask(path, Preview((8, 7, 6), 2, 336, 10_000))
    assert size.size == (8, 7, 6)
    assert size.read_bytes > 672
    assert preview_mask(path).voxels == 0


def test_ten_thousand_contours_take_seconds() -> None:
    scan = sitk.Image(64, 64, 100, sitk.sitkInt16)
    ring = np.array([(-2.2, -2.2, 0), (2.2, -2.2, 0), (2.2, 2.2, 0), (-2.2, 2.2, 0)])
    places = [(x, y, z) for z in range(100) for y in range(5, 64, 6) for x in range(5, 64, 6)]
    drawn = region([ring + place for place in places])
    started = time.process_time()
    found, _ = label_map_of([drawn], scan)
    assert len(drawn.contours) == 10_000
    assert time.process_time() - started < 120
    assert np.count_nonzero(voxel_array(found)) == 10_000 * 25


def test_a_keyhole_in_a_file_is_a_hole(tmp_path: Path, block: sitk.Image) -> None:
    corners = [
        (0.5, 0.5), (6.5, 0.5), (6.5, 5.5), (0.5, 5.5), (0.5, 0.5), (2.5, 2.5), (2.5, 4.5),
        (4.5, 4.5), (4.5, 2.5), (2.5, 2.5),
    ]  # fmt: skip
    contour = in_mm([(*corner, 2) for corner in corners], block)
    path = write_rtstruct(tmp_path / "rs.dcm", {"pancreas": [contour]})
    expected = np.zeros(PANCREAS.shape, bool)
    expected[2, 1:6, 1:7] = True
    expected[2, 3:5, 3:5] = False
    assert np.array_equal(drawn(path, "pancreas", block), expected)
