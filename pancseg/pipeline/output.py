"""The output folder of a run: what is written to it, and when."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pancseg.cohort.case import Case, name_key
from pancseg.cohort.pseudonyms import mark_output
from pancseg.pipeline.result_table import fields_and_rows
from pancseg.processing import fingerprint
from pancseg.processing.acquisition import write_acquisition
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.system.version import __version__
from pancseg.system.whole_files import remove_leftovers, write_whole
from pancseg.tables.fields import Value
from pancseg.tables.format import KINDS, TableFormat
from pancseg.tables.rows_to_file import table_bytes
from pancseg.tables.write import write_table

PLAIN_CSV = TableFormat()


_PACKAGES = (
    "SimpleITK", "numpy", "pandas", "pyradiomics-bhklab", "PyWavelets", "scipy",
)  # fmt: skip


@dataclass(frozen=True)
class RunOutput:
    """The table of a run, and what lies beside it.

    Attributes:
        path: of the table.
        work: what makes it.
        cases: its rows.
        style: how it is written.
        pseudonyms: whether the cases' ids are pseudonyms.
    """

    path: Path
    work: ProcessingPlan
    cases: Sequence[Case]
    style: TableFormat = PLAIN_CSV
    pseudonyms: bool = False

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.path.parent

    @property
    def masks(self) -> Path | None:
        """Where the network's masks go; None where it makes none."""
        return self.folder / "masks" if self.work.weights else None

    def start(self, about: Mapping[str, Any]) -> None:
        """Note beside the masks what makes them, and whether ids are pseudonyms."""
        if self.pseudonyms:
            mark_output(self.folder)
        remove_leftovers(self.folder)
        if self.masks is None:
            return
        self.masks.mkdir(exist_ok=True)
        remove_leftovers(self.masks)
        others = ("features", "settings_sha256", "regions", "quality")
        record = {k: v for k, v in self.provenance(about).items() if k not in others}
        write_whole({self.masks / "provenance.json": _json(record)})

    def write(self, outcomes: Sequence[CaseResult], about: Mapping[str, Any]) -> None:
        """Write all files; time stamps are in the provenance only."""
        settings = self.work.settings
        fields, rows = fields_and_rows(outcomes, settings, self.style.names)
        record = self.provenance(about)
        provenance = _json(record | {"created": datetime.now(UTC).isoformat(timespec="seconds")})
        if settings:
            beside = {"provenance.json": provenance}
            write_table(self.path, fields, rows, self.style, beside)
            for kind in KINDS:  # codebook and provenance are of this table alone now
                if kind != self.style.kind:
                    self.path.with_suffix(f".{kind}").unlink(missing_ok=True)
        else:
            files = {self.path: table_bytes(fields, rows, self.style)}
            if not any((self.folder / f"features.{kind}").exists() for kind in KINDS):
                files = {self.folder / "provenance.json": provenance, **files}  # else it is theirs
            write_whole(files)

    def write_acquisition(self, tags: Mapping[str, Mapping[str, Value]]) -> None:
        """Write ``acquisition.csv`` if any scan is DICOM; one left by an earlier run goes.

        It has a row for every scan, in the table's order, so that the two can be joined.
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

    def provenance(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return what makes the table, without any path or name of a file."""
        settings = self.work.settings
        record: dict[str, Any] = {
            "run": {**_chosen(self.work, about), **self.style.chosen},
            "versions": {
                "pancseg": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in _PACKAGES},
            },
            "ids": "pseudonyms" if self.pseudonyms else "as given",
            **about,
        }
        for name in _network_packages(self.work, about):
            record["versions"][name] = version(name)
        if settings:
            record["features"] = settings.model_dump(mode="json")
            record["settings_sha256"] = fingerprint.of_settings(settings)
            record["regions"] = _regions(self.cases)
        else:
            record["quality"] = self.work.limits.model_dump(mode="json")
        return record


def _network_packages(work: ProcessingPlan, about: Mapping[str, Any]) -> list[str]:
    """Return the packages that computed masks and their agreement."""
    if not about:
        return []
    by_torch = about["inference"]["engine"] != "openvino"
    return ["torch"] * (by_torch or work.uncertainty > 0) + ["openvino"] * (not by_torch)


def _regions(cases: Sequence[Case]) -> dict[str, list[str]]:
    """Return what each region was asked for as; an empty expression is what the mask holds."""
    asked: dict[str, set[str]] = {}
    for case in cases:
        asked.setdefault(case.roi, set()).add(str(case.mask_label or ""))
    return {roi: sorted(expressions) for roi, expressions in asked.items()}


def _chosen(work: ProcessingPlan, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked for, by parameter: network and settings always, the rest if chosen."""
    asked: dict[str, Any] = {"command": work.command}
    if about:
        asked |= {"weights": about["weights"]["name"], **about["inference"]}
    if work.settings:
        asked["settings"] = work.settings.name
    if work.keep_failed:
        asked["keep_failed"] = True
    if work.uncertainty:
        asked["uncertainty"] = work.uncertainty
    return asked


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=2) + "\n").encode()
