"""Write regions as BIDS derivatives: a data set of discrete segmentations, one file per region.

Every region has a file of its own, as regions may overlap, and the same index in all of them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pancseg.export.equipment import NAME
from pancseg.export.scan import ExportedRegion, ExportedScan
from pancseg.scans.arrays import image_like
from pancseg.scans.writing import write_scan
from pancseg.system.version import __version__

TARGET = "bids"
_VERSION = "1.9.0"
_README = """# Masks of the pancreas

Made by pancseg: research software, not for clinical use.

Each `dseg` file holds one region, whose index is in `dseg.tsv`; it is on the grid of the scan that
it was measured on. `participants.tsv` and `sessions.tsv` give the ids of the table of features.
"""
_COLUMNS = {"patient_id": {"Description": "id of the patient in the table of features"}}


class BidsDataset:
    """A data set that grows scan by scan."""

    def __init__(self, folder: Path) -> None:
        """Begin a data set.

        Args:
            folder: folder of exports; the data set is ``bids`` in it.
        """
        self._root = folder / TARGET
        self._subjects, self._regions = Labels(), Labels()
        self._sessions: dict[str, Labels] = {}

    def write(self, scan: ExportedScan) -> None:
        """Write the regions of a scan.

        Raises:
            OSError: a file cannot be written.
        """
        case = scan.case
        parts = [f"sub-{self._subjects.of(case.patient_id)}"]
        if case.scan_id:
            sessions = self._sessions.setdefault(case.patient_id, Labels())
            parts.append(f"ses-{sessions.of(case.scan_id)}")
        folder = self._root.joinpath(*parts, "anat")
        folder.mkdir(parents=True, exist_ok=True)
        for region in scan.regions:
            label = self._regions.of(region.name)
            index = self._regions.names.index(region.name) + 1
            stem = "_".join([*parts, f"desc-{label}", "dseg"])
            kind = np.uint8 if index <= np.iinfo(np.uint8).max else np.uint16
            voxels = np.where(region.voxels, kind(index), kind(0))
            write_scan(image_like(voxels, scan.image), folder / f"{stem}.nii.gz")
            _write_json(folder / f"{stem}.json", _sidecar(region))

    def finish(self) -> None:
        """Write what describes the data set."""
        _write_json(self._root / "dataset_description.json", _description())
        (self._root / "README").write_text(_README, encoding="utf-8")
        people = [(f"sub-{self._subjects.of(name)}", name) for name in self._subjects.names]
        _write_table(self._root / "participants.tsv", ("participant_id", "patient_id"), people)
        _write_json(self._root / "participants.json", _COLUMNS)
        regions = [(str(number), name) for number, name in enumerate(self._regions.names, 1)]
        _write_table(self._root / "dseg.tsv", ("index", "name"), regions)
        for patient, sessions in self._sessions.items():
            subject = f"sub-{self._subjects.of(patient)}"
            scans = [(f"ses-{sessions.of(name)}", name) for name in sessions.names]
            path = self._root / subject / f"{subject}_sessions.tsv"
            _write_table(path, ("session_id", "scan_id"), scans)


class Labels:
    """BIDS labels, letters and digits only, of names as they come.

    >>> labels = Labels()
    >>> [labels.of(name) for name in ("P-1", "P1", "Käse", "P-1", "?")]
    ['P1', 'P1x2', 'Kase', 'P1', 'x']
    """

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """The names, in the order in which they came."""
        return list(self._labels)

    def of(self, name: str) -> str:
        """Return the label of a name; two names never share one, whatever their capitals."""
        if name not in self._labels:
            plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
            label = stem = re.sub(r"[^A-Za-z0-9]", "", plain) or "x"
            taken, number = {each.lower() for each in self._labels.values()}, 1
            while label.lower() in taken:
                number += 1
                label = f"{stem}x{number}"
            self._labels[name] = label
        return self._labels[name]


def _sidecar(region: ExportedRegion) -> dict[str, Any]:
    how = "given, corrected or drawn by a person" if region.by_person else f"weights {region.by}"
    return {
        "Description": f"region {region.name}, made of {region.made_of} of the mask; {how}",
        "Manual": region.by_person,
        "SpatialReference": "orig",
        "Resolution": "that of the scan",
    }


def _description() -> dict[str, Any]:
    return {
        "Name": "Masks of the pancreas",
        "BIDSVersion": _VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": NAME, "Version": __version__}],
        "HowToAcknowledge": "See CITATION.cff of pancseg.",
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_table(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    lines = ["\t".join(cells) for cells in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
