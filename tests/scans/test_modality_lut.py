"""A Modality LUT instead of rescale values turns stored values into HU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_series import write_series
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut

from pancseg import UnusableCase, read_scan
from pancseg.scans.arrays import voxel_array


def with_lut(entries: list[int], first: int, bits: int = 16) -> Any:
    """Return a change that replaces the rescale values of a slice by a table."""

    def change(slice_: Dataset, number: int) -> None:
        del slice_.RescaleSlope, slice_.RescaleIntercept
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
        item.ModalityLUTType = "HU"
        item.add_new("LUTData", "OW", np.array(entries, "<u2").tobytes())
        slice_.ModalityLUTSequence = [item]
        slice_.PixelData = np.arange(30, dtype="<i2").tobytes()

    return change


def test_the_table_is_applied_as_pydicom_does(tmp_path: Path) -> None:
    entries = [7, 1000, 12, 60000, 3, 900]
    write_series(tmp_path / "ct", [0.0, 2.0, 4.0], "1.2.826.1", change=with_lut(entries, 4))
    found = voxel_array(read_scan(tmp_path / "ct"))
    one = pydicom.dcmread(next((tmp_path / "ct").iterdir()))
    expected = apply_modality_lut(one.pixel_array, one)
    assert (found[0] == expected).all()
    assert found[0].ravel()[:12].tolist() == [7, 7, 7, 7, 7, 1000, 12, 60000, 3, 900, 900, 900]


def test_rescale_values_come_before_a_table(tmp_path: Path) -> None:
    def both(slice_: Dataset, number: int) -> None:
        with_lut([1, 2, 3], 0)(slice_, number)
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1000

    write_series(tmp_path / "ct", [0.0, 2.0, 4.0], "1.2.826.1", change=both)
    assert voxel_array(read_scan(tmp_path / "ct"))[0, 0, 4] == -996


def test_a_table_that_does_not_fit_its_description_is_named(tmp_path: Path) -> None:
    def short(slice_: Dataset, number: int) -> None:
        with_lut([1, 2, 3], 0)(slice_, number)
        slice_.ModalityLUTSequence[0].LUTData = b"\0\0\0\0"

    write_series(tmp_path / "ct", [0.0, 2.0, 4.0], "1.2.826.1", change=short)
    with pytest.raises(UnusableCase, match=r"LUTData has 4 bytes \(expected 3 entries of 16 bits"):
        read_scan(tmp_path / "ct")
