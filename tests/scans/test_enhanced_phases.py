"""An enhanced CT may hold several volumes in one file; they are offered like several series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from enhanced_ct import enhanced
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

from pancseg import UnusableCase, preview_scan, read_scan
from pancseg.pipeline.series import list_series
from pancseg.scans.arrays import voxel_array

NUMBER = {"temporal": "TemporalPositionIndex", "acquisition": "FrameAcquisitionNumber"}
PLACES = 4


def write(path: Path, numbers: Sequence[int | None], kind: str) -> Path:
    """Write an enhanced CT whose frames lie at ``PLACES`` places, one after the other.

    Args:
        path: of the file.
        numbers: for each frame, when it was taken; every voxel of a frame has 10 times this value.
        kind: how the file says so.
    """
    ds = enhanced(len(numbers))
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.StudyInstanceUID, ds.PatientID = "1.1", "MRN"
    ds.Rows, ds.Columns = 6, 5
    for place, (group, number) in enumerate(
        zip(ds.PerFrameFunctionalGroupsSequence, numbers, strict=True)
    ):
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 2.0 * (place % PLACES)]
        if number is not None:
            content = Dataset()
            setattr(content, NUMBER[kind], number)
            group.FrameContentSequence = Items([content])
    pixels = [np.full((6, 5), 1024 + 10 * (number or 0), "<u2") for number in numbers]
    ds.PixelData = np.stack(pixels).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("kind", ["temporal", "acquisition"])
def test_two_volumes_in_a_file_are_offered_as_two(tmp_path: Path, kind: str) -> None:
    file = write(tmp_path / "P1" / "a.dcm", [1] * PLACES + [2] * PLACES, kind)
    for path in (file, file.parent):
        with pytest.raises(UnusableCase, match=r"2 fit equally well|none fits") as refused:
            read_scan(path)
        assert refused.value.code == "several_series"
        for part in (1, 2):
            scan = read_scan(path, series_uid=f"1.2#{part}")
            assert scan.GetSize() == (5, 6, PLACES)
            assert scan.GetSpacing() == pytest.approx((0.7, 0.7, 2.0))
            assert np.unique(voxel_array(scan)).tolist() == [10 * part]
            assert preview_scan(path, series_uid=f"1.2#{part}").read_bytes > 0
        with pytest.raises(UnusableCase, match="asks for volume 3 of a series that holds 2"):
            read_scan(path, series_uid="1.2#3")


def test_they_are_two_lines_of_the_list(tmp_path: Path) -> None:
    write(tmp_path / "P1" / "a.dcm", [1] * PLACES + [2] * PLACES, "temporal")
    listed = list_series(tmp_path)
    assert [line.facts.slices for line in listed] == [PLACES, PLACES]
    assert [line.facts.uid for line in listed] == ["1.2#1", "1.2#2"]
    assert all(line.facts.is_volume for line in listed)


@pytest.mark.parametrize("numbers", [[1] * 8, [None] * 8, [1, 2, 3, 4, 5, 6, 7, 8]])
def test_frames_that_nothing_tells_apart_are_refused(
    tmp_path: Path, numbers: list[int | None]
) -> None:
    file = write(tmp_path / "a.dcm", numbers, "temporal")
    with pytest.raises(UnusableCase) as refused:
        read_scan(file)
    assert refused.value.code == "uneven_slices"


def test_one_volume_whose_frames_are_numbered_is_one(tmp_path: Path) -> None:
    file = write(tmp_path / "a.dcm", [1, 2, 3, 4], "acquisition")
    assert read_scan(file).GetSize() == (5, 6, PLACES)
    assert read_scan(tmp_path).GetSize() == (5, 6, PLACES)
