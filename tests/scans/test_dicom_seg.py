"""A DICOM SEG is read right to the voxel, whatever its kind, and the order and number of frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_seg import SERIES, frames_of, write_ct, write_seg
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

from pancseg import UnusableCase, read_scan
from pancseg.scans.arrays import voxel_array
from pancseg.scans.masks import named_segments, preview_mask, read_mask
from pancseg.scans.reading import preview_scan
from pancseg.scans.segments import cut_at, segments_of

SIZE = (9, 7, 8)
"""Columns, rows, slices: no frame of 63 bits begins at a byte."""


@pytest.fixture
def ct() -> sitk.Image:
    """An oblique CT whose slices run towards the feet."""
    rng = np.random.default_rng(5)
    image = sitk.GetImageFromArray(rng.integers(-1000, 1000, SIZE[::-1]).astype(np.int16))
    image.SetSpacing((0.8, 0.9, 2.5))
    image.SetOrigin((-100.5, 20.25, -300.0))
    c, s = float(np.cos(0.05)), float(np.sin(0.05))
    image.SetDirection((c, s, 0, s, -c, 0, 0, 0, -1))
    return image


@pytest.fixture
def scan(ct: sitk.Image, tmp_path: Path) -> sitk.Image:
    """The CT as it is read from its DICOM series."""
    write_ct(tmp_path / "ct", ct)
    return read_scan(tmp_path / "ct")


@pytest.fixture
def drawn() -> NDArray[np.uint8]:
    """A region of the middle slices, with one of them empty."""
    voxels = np.zeros(SIZE[::-1], np.uint8)
    voxels[2:7, 1:5, 2:8] = np.random.default_rng(3).integers(0, 2, (5, 4, 6))
    voxels[4] = 0
    return voxels


def _set_voxels(mask: sitk.Image, name: str) -> NDArray[np.bool_]:
    (found,) = (each for each in segments_of(mask) if each.name == name)
    inside: NDArray[np.bool_] = np.isin(voxel_array(mask), found.inside)
    return inside


def _in_world(voxels: NDArray[np.bool_], image: sitk.Image) -> set[tuple[float, ...]]:
    places = np.argwhere(voxels)[:, ::-1].tolist()
    return {tuple(np.round(image.TransformIndexToPhysicalPoint(p), 3)) for p in places}


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_frames_in_any_order_are_put_onto_the_scans_grid(
    kind: str, shuffled: bool, ct: sitk.Image, scan: sitk.Image, drawn: NDArray[np.uint8],
    tmp_path: Path,
) -> None:  # fmt: skip
    frames = frames_of(1, drawn * (255 if kind == "FRACTIONAL" else 1))
    if shuffled:
        frames = [frames[n] for n in np.random.default_rng(1).permutation(len(frames))]
    mask = read_mask(write_seg(tmp_path / "m.dcm", ct, frames, kind=kind), scan)
    assert mask.GetSize() == scan.GetSize()
    assert mask.GetSpacing() == pytest.approx(scan.GetSpacing())
    assert _in_world(_set_voxels(mask, "pancreas"), mask) == _in_world(drawn > 0, ct)
    assert not cut_at(mask)


def test_without_a_scan_its_own_box_is_read(
    ct: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = write_seg(tmp_path / "m.dcm", ct, frames_of(1, drawn))
    mask = read_mask(path)
    assert mask.GetSize() == (9, 7, 5)
    assert _in_world(_set_voxels(mask, "pancreas"), mask) == _in_world(drawn > 0, ct)
    assert preview_mask(path).size == mask.GetSize()
    assert preview_mask(path).read_bytes >= voxel_array(mask).nbytes


@pytest.mark.parametrize("axes", ["LPS", "RAS", "ASL", "IPR"])
def test_a_nifti_scan_with_other_axes_decides_by_geometry(
    axes: str, ct: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = write_seg(tmp_path / "m.dcm", ct, frames_of(1, drawn))
    sitk.WriteImage(sitk.DICOMOrient(ct, axes), tmp_path / "ct.nii.gz")
    scan = read_scan(tmp_path / "ct.nii.gz")
    mask = read_mask(path, scan)
    expected = sitk.GetImageFromArray(drawn)
    expected.CopyInformation(ct)
    assert mask.GetSize() == scan.GetSize()
    assert np.array_equal(
        _set_voxels(mask, "pancreas"), sitk.GetArrayFromImage(sitk.DICOMOrient(expected, axes)) == 1
    )


def test_a_box_of_the_slices_is_padded(
    ct: sitk.Image, scan: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    box = ct[2:8, 1:6, :]
    path = write_seg(tmp_path / "m.dcm", box, frames_of(1, drawn[:, 1:6, 2:8]))
    mask = read_mask(path, scan)
    assert mask.GetSize() == scan.GetSize()
    assert _in_world(_set_voxels(mask, "pancreas"), mask) == _in_world(drawn > 0, ct)


def test_a_single_frame_is_enough_with_a_scan(
    ct: sitk.Image, scan: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    def bare(seg: FileDataset) -> None:
        measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        del measures.SpacingBetweenSlices

    path = write_seg(tmp_path / "m.dcm", ct, [(1, 3, drawn[3])], change=bare)
    mask = read_mask(path, scan)
    assert _in_world(_set_voxels(mask, "pancreas"), mask) == _in_world(
        (drawn > 0) & (np.arange(8) == 3)[:, None, None], ct
    )
    with pytest.raises(UnusableCase, match="in one slice, and it states no distance"):
        read_mask(path)


def test_overlapping_segments_keep_all_their_voxels(
    ct: sitk.Image, scan: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    tumour = np.zeros_like(drawn)
    tumour[3:6, 2:6, 3:6] = 1
    frames = [*frames_of(1, drawn), *frames_of(2, tumour)]
    frames = [frames[n] for n in np.random.default_rng(2).permutation(len(frames))]
    path = write_seg(tmp_path / "m.dcm", ct, frames, ("pancreas", "tumour", "duct"))
    mask = read_mask(path, scan)
    assert _in_world(_set_voxels(mask, "pancreas"), mask) == _in_world(drawn > 0, ct)
    assert _in_world(_set_voxels(mask, "tumour"), mask) == _in_world(tumour > 0, ct)
    assert not _set_voxels(mask, "duct").any()


@pytest.mark.parametrize("bits", [8, 16])
def test_a_label_map_keeps_numbers_without_a_name(
    bits: int, ct: sitk.Image, scan: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    labels = drawn * 2
    labels[5, 0, 0] = 7
    path = write_seg(
        tmp_path / "m.dcm", ct, frames_of(0, labels), ("duodenum", "pancreas"),
        kind="LABELMAP", bits=bits,
    )  # fmt: skip
    mask = read_mask(path, scan)
    assert _in_world(_set_voxels(mask, "pancreas"), mask) == _in_world(labels == 2, ct)
    assert _in_world(voxel_array(mask) == 7, mask) == _in_world(labels == 7, ct)


def test_fractions_count_from_half_of_their_maximum(
    ct: sitk.Image, scan: sitk.Image, tmp_path: Path
) -> None:
    fractions = np.zeros(SIZE[::-1], np.uint8)
    fractions[2, 1, :5] = 1, 127, 128, 200, 255
    path = write_seg(tmp_path / "m.dcm", ct, frames_of(1, fractions), kind="FRACTIONAL")
    mask = read_mask(path, scan)
    assert _in_world(_set_voxels(mask, "pancreas"), mask) == _in_world(fractions >= 128, ct)
    assert cut_at(mask) == "128 of 255"


def test_the_code_stands_in_for_a_name(ct: sitk.Image, tmp_path: Path) -> None:
    def coded(seg: FileDataset) -> None:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator = "15776009", "SCT"
        code.CodeMeaning = "Pancreas"
        seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence = [code]

    voxels = np.ones(SIZE[::-1], np.uint8)
    path = write_seg(tmp_path / "m.dcm", ct, frames_of(1, voxels), ("Segment_1",), change=coded)
    (segment,) = named_segments(path)
    assert (segment.name, segment.values, segment.coded) == ("Segment_1", (1,), "Pancreas")


def _images_named(seg: FileDataset, *uids: str) -> None:
    """Let a SEG name images instead of a series, as its frames' sources."""
    del seg.ReferencedSeriesSequence
    for frame, uid in zip(seg.PerFrameFunctionalGroupsSequence, uids, strict=False):
        source, derivation = Dataset(), Dataset()
        source.ReferencedSOPInstanceUID = uid
        derivation.SourceImageSequence = [source]
        frame.DerivationImageSequence = [derivation]


def _elsewhere(seg: FileDataset) -> None:
    seg.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.826.0.1.99.1"


def _other_frame(seg: FileDataset) -> None:
    seg.FrameOfReferenceUID = "1.2.826.0.1.99.2"


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (_elsewhere, "it was drawn on another DICOM series"),
        (lambda seg: _images_named(seg, "1.2.3", "1.2.4"), "of its 2 images, none is one of"),
        (_other_frame, "another frame of reference"),
    ],
)
def test_a_seg_of_another_series_is_refused_without_a_uid(
    change: object, fact: str, ct: sitk.Image, scan: sitk.Image, drawn: NDArray[np.uint8],
    tmp_path: Path,
) -> None:  # fmt: skip
    path = write_seg(tmp_path / "m.dcm", ct, frames_of(1, drawn), change=change)  # type: ignore[arg-type]
    with pytest.raises(UnusableCase, match=fact) as refused:
        read_mask(path, scan)
    assert refused.value.code == "geometry"
    assert "1.2." not in refused.value.fact
    nifti = sitk.Image(scan)
    for key in nifti.GetMetaDataKeys():
        nifti.EraseMetaData(key)
    assert read_mask(path, nifti).GetSize() == scan.GetSize()


def test_a_seg_that_names_images_of_the_scan_belongs_to_it(
    ct: sitk.Image, scan: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    def renamed(seg: FileDataset) -> None:
        _images_named(seg, f"{SERIES}.3")

    path = write_seg(tmp_path / "m.dcm", ct, frames_of(1, drawn), change=renamed)
    assert _set_voxels(read_mask(path, scan), "pancreas").sum() == drawn.sum()


def test_another_volume_under_the_series_uid_is_another_scan(
    ct: sitk.Image, scan: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    def of_other_phase(seg: FileDataset) -> None:
        source = Dataset()
        source.ReferencedSOPInstanceUID = f"{SERIES}.103"
        seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence = [source]

    path = write_seg(tmp_path / "m.dcm", ct, frames_of(1, drawn), change=of_other_phase)
    with pytest.raises(UnusableCase, match="of its 1 images, none is one of the scan's 8"):
        read_mask(path, scan)


def test_a_seg_without_any_uid_is_placed_by_geometry(
    ct: sitk.Image, scan: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    def bare(seg: FileDataset) -> None:
        del seg.ReferencedSeriesSequence, seg.FrameOfReferenceUID

    path = write_seg(tmp_path / "m.dcm", ct, frames_of(1, drawn), change=bare)
    assert _set_voxels(read_mask(path, scan), "pancreas").sum() == drawn.sum()


def test_voxels_beyond_the_scan_are_refused(
    ct: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = write_seg(tmp_path / "m.dcm", ct, frames_of(1, drawn))
    with pytest.raises(UnusableCase, match=r"of the region's .* lie outside of the scan"):
        read_mask(path, ct[:, :, :6])


def test_the_memory_of_the_padded_mask_is_announced(
    ct: sitk.Image, scan: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = write_seg(tmp_path / "m.dcm", ct, frames_of(1, drawn))
    preview = preview_mask(path, preview_scan(tmp_path / "ct"))
    assert preview.size == scan.GetSize()
    assert preview.read_bytes > preview_mask(path).read_bytes


def test_a_folder_stands_for_the_one_mask_in_it(
    ct: sitk.Image, scan: sitk.Image, drawn: NDArray[np.uint8], tmp_path: Path
) -> None:
    place = tmp_path / "export" / "DICOM" / "S2"
    place.mkdir(parents=True)
    write_seg(place / "I1", ct, frames_of(1, drawn))
    assert _set_voxels(read_mask(tmp_path / "export", scan), "pancreas").sum() == drawn.sum()
    write_seg(place / "I2", ct, frames_of(1, drawn))
    with pytest.raises(UnusableCase, match="the folder holds 2 SEG, expected one"):
        read_mask(tmp_path / "export", scan)
