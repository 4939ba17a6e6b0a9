"""Write the output folder of a run: its table, provenance and acquisition."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pancseg.cohort.case import Case, name_key
from pancseg.cohort.discovery import STATE_FOLDER
from pancseg.cohort.pseudonyms import mark_output
from pancseg.pipeline.result_table import fields_and_rows, wide_table
from pancseg.processing import fingerprint
from pancseg.processing.acquisition import write_acquisition
from pancseg.processing.picture_names import PICTURES_FOLDER
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.system.version import __version__
from pancseg.system.whole_files import remove_leftovers, write_whole
from pancseg.tables.fields import Value
from pancseg.tables.format import KINDS, TableFormat
from pancseg.tables.rows_to_file import table_bytes
from pancseg.tables.write import write_table

PLAIN_CSV = TableFormat()
SCANS = "scans.json"
"""File of the state folder: name of a row → its ids and the paths of scan and given mask."""


_PACKAGES = (
    "SimpleITK", "numpy", "pandas", "pyradiomics-bhklab", "PyWavelets", "scipy",
)  # fmt: skip


@dataclass(frozen=True)
class RunOutput:
    """The table of a run and the files beside it.

    Attributes:
        path: path of the table.
        plan: what is done with every scan.
        cases: the cohort, one case per row.
        style: format of the table.
        pseudonyms: whether the cases' ids are pseudonyms.
        words: turns a message that names parameters in backticks into the caller's words.
    """

    path: Path
    plan: ProcessingPlan
    cases: Sequence[Case]
    style: TableFormat = PLAIN_CSV
    pseudonyms: bool = False
    words: Callable[[str], str] = str

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.path.parent

    @property
    def masks(self) -> Path | None:
        """Folder of the network's masks; None without a network."""
        return self.folder / "masks" if self.plan.weights else None

    @property
    def pictures(self) -> Path | None:
        """Folder of the rows' pictures; None if none are made."""
        return self.folder / PICTURES_FOLDER if self.plan.pictures else None

    def start(self, network_info: Mapping[str, Any]) -> None:
        """Remove leftovers, mark the folder if ids are pseudonyms, and write the masks' provenance.

        Args:
            network_info: the weights and the engine; empty without a network.
        """
        if self.pseudonyms:
            mark_output(self.folder)
        remove_leftovers(self.folder)
        self._note_scans()
        if self.pictures:
            self.pictures.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.pictures)
        if self.masks is None:
            return
        self.masks.mkdir(exist_ok=True)
        remove_leftovers(self.masks)
        others = ("features", "settings_sha256", "regions", "quality")
        record = {k: v for k, v in self.provenance(network_info).items() if k not in others}
        write_whole({self.masks / "provenance.json": _json(record)})

    def _note_scans(self) -> None:
        """Note where the scans are, for those who look at them later; not under pseudonyms."""
        path = self.folder / STATE_FOLDER / SCANS
        if self.pseudonyms:
            path.unlink(missing_ok=True)
            return
        rows = {case.name: _whereabouts(case) for case in self.cases}
        write_whole({path: _json(rows)}, private=True)  # paths may name patients

    def write(self, results: Sequence[CaseResult], network_info: Mapping[str, Any]) -> None:
        """Write the table and the files beside it; only the provenance has a time stamp."""
        settings, names = self.plan.settings, self.style.names
        fields, rows = fields_and_rows(results, settings, names, self.words)
        record = self.provenance(network_info)
        provenance = _json(record | {"created": datetime.now(UTC).isoformat(timespec="seconds")})
        if settings:
            beside = {"provenance.json": provenance}
            wide = None
            if self.style.wide:
                wide = wide_table(results, settings, names, self.words)
            write_table(self.path, fields, rows, self.style, beside, wide)
        else:
            files = {self.path: table_bytes(fields, rows, self.style)}
            if not any((self.folder / f"features.{kind}").exists() for kind in KINDS):
                # beside a table of features, the provenance belongs to that table
                files = {self.folder / "provenance.json": provenance, **files}
            write_whole(files)

    def write_acquisition(self, tags: Mapping[str, Mapping[str, Value]]) -> None:
        """Write ``acquisition.csv`` if any scan is DICOM; otherwise remove an earlier run's.

        The file has one row per scan, in the table's order, so that the two can be joined.

        Args:
            tags: key of a scan's first case → its acquisition.
        """
        path = self.folder / "acquisition.csv"
        rows: dict[str, dict[str, Value]] = {}
        for case in self.cases:
            ids: dict[str, Value] = {"patient_id": case.patient_id, "scan_id": case.scan_id}
            rows.setdefault(name_key(case.scan_name), ids).update(tags.get(case.key, {}))
        if tags:
            write_acquisition(path, rows.values(), self.style)
        else:
            path.unlink(missing_ok=True)

    def provenance(self, network_info: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the table is made with, without any path or file name."""
        settings = self.plan.settings
        record: dict[str, Any] = {
            "run": {**_chosen(self.plan, network_info), **self.style.chosen},
            "versions": {
                "pancseg": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in _PACKAGES},
            },
            "ids": "pseudonyms" if self.pseudonyms else "as given",
            **network_info,
        }
        for name in _network_packages(self.plan, network_info):
            record["versions"][name] = version(name)
        if settings:
            record["features"] = settings.model_dump(mode="json")
            record["settings_sha256"] = fingerprint.of_settings(settings)
            record["regions"] = _regions(self.cases)
        else:
            record["quality"] = self.plan.limits.model_dump(mode="json")
        return record


def _whereabouts(case: Case) -> dict[str, str | None]:
    return {
        "patient_id": case.patient_id,
        "scan_id": case.scan_id,
        "roi": case.roi,
        "image": os.path.abspath(case.image),
        "series_uid": case.series_uid,
        "mask": os.path.abspath(case.mask) if case.mask else None,
        "mask_label": str(case.mask_label or "") or None,
    }


def _network_packages(plan: ProcessingPlan, network_info: Mapping[str, Any]) -> list[str]:
    """Return the packages that compute the masks and their uncertainty."""
    if not network_info:
        return []
    by_torch = network_info["inference"]["engine"] != "openvino"
    return ["torch"] * (by_torch or plan.uncertainty > 0) + ["openvino"] * (not by_torch)


def _regions(cases: Sequence[Case]) -> dict[str, list[str]]:
    """Return region → the expressions given for it; an empty one takes the mask's own label."""
    given: dict[str, set[str]] = {}
    for case in cases:
        given.setdefault(case.roi, set()).add(str(case.mask_label or ""))
    return {roi: sorted(expressions) for roi, expressions in given.items()}


def _chosen(plan: ProcessingPlan, network_info: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameter → value: network and settings always, others if not the default."""
    chosen: dict[str, Any] = {"command": plan.command}
    if network_info:
        chosen |= {"weights": network_info["weights"]["name"], **network_info["inference"]}
    if plan.settings:
        chosen["settings"] = plan.settings.name
    if plan.keep_failed:
        chosen["keep_failed"] = True
    if plan.keep_truncated_shape:
        chosen["keep_truncated_shape"] = True
    if plan.uncertainty:
        chosen["uncertainty"] = plan.uncertainty
    return chosen


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=2) + "\n").encode()
