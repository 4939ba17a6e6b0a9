"""A SEG that cannot be read is refused in one line that says what there is; none is half read."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_seg import frames_of, write_seg
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from pancseg import UnusableCase
from pancseg.scans.masks import named_segments, preview_mask, read_mask

MOST_SECONDS = 20.0


@pytest.fixture
def ct() -> sitk.Image:
    image = sitk.Image(6, 5, 7, sitk.sitkInt16)
    image.SetSpacing((1.0, 1.0, 2.0))
    return image


def _seg(path: Path, ct: sitk.Image, change: Callable[[FileDataset], object] | None = None) -> Path:
    voxels = np.zeros((7, 5, 6), np.uint8)
    voxels[2:6, 1:4, 1:4] = 1
    return write_seg(path, ct, frames_of(1, voxels), change=change)


def _frame(seg: FileDataset, number: int) -> FileDataset:
    frame: FileDataset = seg.PerFrameFunctionalGroupsSequence[number]
    return frame


def _without_groups(seg: FileDataset) -> None:
    del seg.PerFrameFunctionalGroupsSequence, seg.SharedFunctionalGroupsSequence


def _bare(seg: FileDataset) -> None:
    _without_groups(seg)
    del seg.SegmentSequence


def _two_numbers(seg: FileDataset) -> None:
    seg.SegmentSequence = [seg.SegmentSequence[0], seg.SegmentSequence[0]]


def _unnumbered(seg: FileDataset) -> None:
    seg.SegmentSequence.append(copy.deepcopy(seg.SegmentSequence[0]))
    seg.SegmentSequence[1].SegmentNumber = 2
    del _frame(seg, 0).SegmentIdentificationSequence


def _moved(number: int, position: list[float]) -> Callable[[FileDataset], None]:
    def change(seg: FileDataset) -> None:
        _frame(seg, number).PlanePositionSequence[0].ImagePositionPatient = position

    return change


def _turned(seg: FileDataset) -> None:
    shared = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    for frame in seg.PerFrameFunctionalGroupsSequence[1:]:
        frame.PlaneOrientationSequence = shared
    other = type(shared[0])()
    other.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    _frame(seg, 0).PlaneOrientationSequence = [other]


def _unplaced(seg: FileDataset) -> None:
    del _frame(seg, 1).PlanePositionSequence


def _larger(seg: FileDataset) -> None:
    seg.Rows = 60_000


def _deflated(seg: FileDataset) -> None:
    seg.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def _packed(seg: FileDataset) -> None:
    seg.file_meta.TransferSyntaxUID = RLELossless
    seg.PixelData = encapsulate([seg.PixelData])
    seg["PixelData"].is_undefined_length = True


def _no_kind(seg: FileDataset) -> None:
    seg.SegmentationType = "SURFACE"


def _far(seg: FileDataset) -> None:
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 0.001
    _moved(0, [0, 0, 900_000])(seg)


@pytest.mark.parametrize(
    ("change", "code", "fact"),
    [
        (_bare, "unreadable", "describes no segment (4 frames of 6×5 pixels); export it again"),
        (_without_groups, "geometry", "4 of 4 frames of the SEG have no position"),
        (_two_numbers, "unreadable", "two segments have one SegmentNumber; correct the header"),
        (_unnumbered, "unreadable", "1 of 4 frames do not say of which segment they are"),
        (_unplaced, "geometry", "1 of 4 frames of the SEG have no position"),
        (_moved(2, [0, 0, 6]), "unreadable", "segment 1 of the SEG has several frames in"),
        (_moved(1, [0, 0, 6.9]), "uneven_slices", "on no even grid (1.10 to 2.90 mm apart)"),
        (_moved(1, [3, 0, 6]), "geometry", "up to 3.0 mm beside each other"),
        (_far, "geometry", "the SEG's frames span 899,994,001 slices of 0.001 mm"),
        (_turned, "uneven_slices", "3 of 4 frames of the SEG have another orientation"),
        (_larger, "unreadable", "bytes of pixels are missing (cut off?); copy or export it again"),
        (_deflated, "unreadable", "'Deflated Explicit VR Little Endian' is not supported"),
        (_packed, "unreadable", "the SEG's single bits are compressed; export it uncompressed"),
        (_no_kind, "unreadable", "SegmentationType is unknown (expected BINARY, FRACTIONAL"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    change: Callable[[FileDataset], object], code: str, fact: str, ct: sitk.Image, tmp_path: Path
) -> None:
    path = _seg(tmp_path / "m.dcm", ct, change)
    begin = time.process_time()
    with pytest.raises(UnusableCase) as refused:
        read_mask(path)
    assert time.process_time() - begin < MOST_SECONDS
    assert (refused.value.code, fact in refused.value.fact) == (code, True), refused.value.fact
    assert "\n" not in refused.value.fact
    assert str(tmp_path) not in refused.value.fact


def test_a_file_cut_off_anywhere_is_refused(ct: sitk.Image, tmp_path: Path) -> None:
    whole = _seg(tmp_path / "m.dcm", ct).read_bytes()
    cut = tmp_path / "cut.dcm"
    for length in (*range(700, len(whole), 41), len(whole) - 2):
        cut.write_bytes(whole[:length])
        for read in (read_mask, named_segments, preview_mask):
            with pytest.raises(UnusableCase) as refused:
                read(cut)
            assert "\n" not in refused.value.fact


def test_the_names_of_a_seg_are_cut_but_not_refused(ct: sitk.Image, tmp_path: Path) -> None:
    def renamed(seg: FileDataset) -> None:
        seg.SpecificCharacterSet = "ISO_IR 192"
        name = 'Käse^"Größe"' + "x" * 80
        label = DataElement("SegmentLabel", "LO", name, validation_mode=config.IGNORE)
        seg.SegmentSequence[0].add(label)

    (segment,) = named_segments(_seg(tmp_path / "m.dcm", ct, renamed))
    assert segment.name.startswith('Käse^"Größe"xx')
    assert len(segment.name) == 64
