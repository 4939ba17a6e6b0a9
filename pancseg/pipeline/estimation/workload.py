"""Find out from headers what a run has to do, without reading a voxel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pancseg.cohort.case import Case
from pancseg.cohort.discovery import STATE_FOLDER
from pancseg.features.settings import FeatureSettings
from pancseg.processing import fingerprint
from pancseg.running.executors.place import rows_by_scan
from pancseg.running.journal import usable_rows
from pancseg.running.memory import HEADER_S, needed_memory
from pancseg.scans.slice_preview import SlicePreview, preview_slices
from pancseg.system.json_file import read_json
from pancseg.system.processes.patience import answer_within


class ScanWork(NamedTuple):
    """What a run has to do with one scan.

    Attributes:
        slices: its axial slices.
        segmented: whether the network makes its mask.
        rows: number of rows to make.
        memory_bytes: memory that a worker needs for it.
    """

    slices: SlicePreview
    segmented: bool
    rows: int
    memory_bytes: int


class Workload(NamedTuple):
    """What a run has to do.

    Attributes:
        scans: the scans of which rows are to be made, in the order of the cohort.
        kept_rows: number of rows that an earlier run has made.
        unreadable: number of scans without a header that can be read.
    """

    scans: tuple[ScanWork, ...]
    kept_rows: int
    unreadable: int

    @property
    def rows(self) -> int:
        """Number of rows to make."""
        return sum(scan.rows for scan in self.scans)


def workload_of(
    cases: Sequence[Case],
    settings: FeatureSettings,
    engine: str,
    earlier: frozenset[str],
    looks: int = 1,
) -> Workload:
    """Return what a run has to do.

    Args:
        cases: the cohort.
        settings: of the features.
        engine: that runs the network.
        earlier: keys of the cases whose rows exist.
        looks: number of looks of the segmenter.
    """
    scans: list[ScanWork] = []
    kept = unreadable = 0
    for indices in rows_by_scan(cases).values():
        of_scan = [cases[i] for i in indices]
        left = [case for case in of_scan if case.key not in earlier]
        kept += len(of_scan) - len(left)
        if not left:
            continue
        slices = _slices_of(left[0])
        if slices is None:
            unreadable += 1
            continue
        memory = needed_memory(left, engine, settings, looks)
        by_network = any(case.mask is None for case in left)
        scans.append(ScanWork(slices, by_network, len(left), memory.scan + memory.features))
    return Workload(tuple(scans), kept, unreadable)


def earlier_rows(out: Path | None, settings: FeatureSettings) -> frozenset[str]:
    """Return the keys of the cases whose rows an output folder has, made with the same settings.

    Args:
        out: output folder of an earlier run, finished or not; None for none.
        settings: of the features.
    """
    if out is None:
        return frozenset()
    made_with = _provenance(out).get("settings_sha256")
    if made_with and made_with != fingerprint.of_settings(settings):
        return frozenset()
    return usable_rows(out / STATE_FOLDER / "journal.jsonl")


def _provenance(out: Path) -> dict[str, Any]:
    try:
        found = read_json(out / "provenance.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _slices_of(case: Case) -> SlicePreview | None:
    """Return a scan's slices; None if its header cannot be read in time."""
    try:
        return answer_within(
            HEADER_S, lambda: preview_slices(case.image, series_uid=case.series_uid)
        )
    except Exception:  # noqa: BLE001  any file may be broken; a run reports it in its row
        return None
