"""Writes a synthetic study: several series in folders of one patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dicom_series import write_series
from pydicom.dataset import FileDataset

STUDY = "1.2.826.0.1.77"


def write_study(folder: Path, **series: dict[str, Any]) -> None:
    """Write series of one study, each into a subfolder of its name.

    Args:
        folder: the patient's folder.
        series: subfolder → attributes; ``gap`` is the distance of the slices, ``count`` their
            number.
    """
    for number, (name, texts) in enumerate(series.items(), start=1):
        words = {"StudyInstanceUID": STUDY, "PatientID": "MRN-4711", "SeriesNumber": number} | texts
        gap, count = words.pop("gap", 1.0), words.pop("count", 6)
        words.setdefault("SliceThickness", gap)
        words.setdefault("change", _across(gap) if name == "cor" else None)
        positions = [gap * place for place in range(count)]
        write_series(folder / name, positions, f"{STUDY}.20010101.{number}00", **words)


def _across(gap: float) -> Callable[[FileDataset, int], object]:
    """Put slices one behind the other, as those of a coronal series are."""

    def change(slice_: FileDataset, number: int) -> None:
        slice_.ImagePositionPatient = [-10, gap * number, 0]

    return change


PORTAL = {"SeriesDescription": "Doe Abdomen portalvenoes", "ConvolutionKernel": "Br40d"}
ARTERIAL = {"SeriesDescription": "Doe Abdomen arteriell", "ConvolutionKernel": "Br40d"}
SCOUT = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "count": 1}
TYPICAL: dict[str, dict[str, Any]] = {
    "scout": SCOUT,
    "art": ARTERIAL,
    "ven5": PORTAL | {"gap": 5.0},
    "ven1": PORTAL,
    "lung": PORTAL | {"ConvolutionKernel": "Bl57d"},
    "cor": PORTAL | {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]},
}
"""A study as scanners make it; the rules choose ``ven1``."""
