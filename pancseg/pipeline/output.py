"""Write the output folder of a run: its table, provenance and acquisition."""

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
    """The table of a run and the files beside it.

    Attributes:
        path: path of the table.
        plan: what is done with every scan.
        cases: the cohort, one case per row.
        style: format of the table.
        pseudonyms: whether the cases' ids are pseudonyms.
    """

    path: Path
    plan: ProcessingPlan
    cases: Sequence[Case]
    style: TableFormat = PLAIN_CSV
    pseudonyms: bool = False

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.path.parent

    @property
    def masks(self) -> Path | None:
        """Folder of the network's masks; None without a network."""
        return self.folder / "masks" if self.plan.weights else None

    def start(self, network_info: Mapping[str, Any]) -> None:
        """Remove leftovers, mark the folder if ids are pseudonyms, and write the masks' provenance.

        Args:
            network_info: the weights and the engine; empty without a network.
        """
        if self.pseudonyms:
            mark_output(self.folder)
        remove_leftovers(self.folder)
        if self.masks is None:
            return
        self.masks.mkdir(exist_ok=True)
        remove_leftovers(self.masks)
        others = ("features", "settings_sha256", "regions", "quality")
        record = {k: v for k, v in self.provenance(network_info).items() if k not in others}
        write_whole({self.masks / "provenance.json": _json(record)})

    def write(self, results: Sequence[CaseResult], network_info: Mapping[str, Any]) -> None:
        """Write the table and the files beside it; only the provenance has a time stamp."""
        settings = self.plan.settings
        fields, rows = fields_and_rows(results, settings, self.style.names)
        record = self.provenance(network_info)
        provenance = _json(record | {"created": datetime.now(UTC).isoformat(timespec="seconds")})
        if settings:
            beside = {"provenance.json": provenance}
            write_table(self.path, fields, rows, self.style, beside)
            for kind in KINDS:  # codebook and provenance belong to the new table only
                if kind != self.style.kind:
                    self.path.with_suffix(f".{kind}").unlink(missing_ok=True)
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
    if plan.uncertainty:
        chosen["uncertainty"] = plan.uncertainty
    return chosen


def _json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=2) + "\n").encode()
