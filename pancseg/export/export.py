"""Export the usable rows of an output folder, scan by scan, to the formats of other programs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pancseg.cohort.case import Case
from pancseg.cohort.discovery import read_cohort
from pancseg.cohort.pseudonyms import MARK
from pancseg.errors import UnusableCase
from pancseg.export import bids, dicom_seg, dicom_sr, rtstruct, slicer
from pancseg.export.rows import ExportRow, choose_rows
from pancseg.export.scan import ExportedScan, read_for_export
from pancseg.report.output_folder import read_output
from pancseg.report.whereabouts import in_cohort, noted
from pancseg.running.lock import locked
from pancseg.system.optional import missing
from pancseg.system.output_folder import EXPORTS, STATE, check_output_folder
from pancseg.system.whole_files import check_writable, is_leftover, partial_path


class Target(Protocol):
    """A format that scans are written in."""

    def write(self, scan: ExportedScan) -> None:
        """Write the regions of a scan."""

    def finish(self) -> None:
        """Write what belongs to all scans together."""


class _PerScan:
    """A format with one file per scan and nothing else."""

    def __init__(self, write: Callable[[ExportedScan, Path], None], folder: Path) -> None:
        self._write, self._folder = write, folder

    def write(self, scan: ExportedScan) -> None:
        self._write(scan, self._folder)

    def finish(self) -> None:
        pass


TARGETS: Mapping[str, Callable[[Path], Target]] = {
    dicom_seg.TARGET: partial(_PerScan, dicom_seg.write_seg),
    dicom_sr.TARGET: partial(_PerScan, dicom_sr.write_sr),
    rtstruct.TARGET: partial(_PerScan, rtstruct.write_rtstruct),
    bids.TARGET: bids.BidsDataset,
    slicer.TARGET: partial(_PerScan, slicer.write_slicer),
}
"""Name of a target → what begins it in a folder; the report follows the segments it refers to."""
DICOM = (dicom_seg.TARGET, dicom_sr.TARGET, rtstruct.TARGET)
"""Targets with the identity of the source series."""
_BY_HIGHDICOM = (dicom_seg.TARGET, dicom_sr.TARGET)


@dataclass(frozen=True)
class ExportAccount:
    """What was exported, and what was not.

    Attributes:
        written: target → number of scans.
        left_out: number of rows that were not usable, which are never exported.
        problems: one line per scan that could not be exported, or not to every target.
    """

    written: Mapping[str, int]
    left_out: int
    problems: tuple[str, ...]


def export_output(
    out: str | os.PathLike[str],
    to: Sequence[str],
    cohort: str | os.PathLike[str] | Sequence[Case] | None = None,
    *,
    masks: str | os.PathLike[str] | None = None,
    with_identity: bool = False,
) -> ExportAccount:
    """Write the masks and measurements of usable rows to ``out/export/<target>``.

    An earlier export to the same target is replaced by the new one, once that is whole. Scan and
    mask must be those that were measured: their hashes are compared with the table's.

    Args:
        out: output folder of a run.
        to: any of ``dicom-seg``, ``dicom-sr``, ``rtstruct``, ``bids`` and ``slicer``. ``dicom-sr``
            refers to segments, and so needs ``dicom-seg`` beside it. The DICOM targets take
            patient and study from the source series.
        cohort: the cohort that the table was made of, by its path or as cases; None: the scans are
            where the run found them.
        masks: folder of given masks, or one mask, for a cohort given by its path.
        with_identity: write DICOM, which names patients, although ids in ``out`` are pseudonyms.

    Raises:
        CohortError: the cohort has problems.
        ValueError: an unknown target, a package that a target needs is missing, a folder without a
            table, or DICOM under pseudonyms.
        OSError: a file cannot be written.

    Example:
        >>> from pancseg import export_output, extract_cohort
        >>> results = extract_cohort("cohort.csv", "results", masks="masks")
        >>> export_output("results", ["slicer", "bids"]).written
        {'bids': 1, 'slicer': 1}
    """
    folder = Path(out)
    targets = _checked(to)
    check_output_folder(folder)
    output = read_output(folder)
    if (folder / MARK).exists() and not with_identity and (named := _of(DICOM, targets)):
        raise ValueError(
            f"the ids in the output folder are pseudonyms, and {named} would name the patients of "
            "the source series; give `with_identity` if they may, or leave them out of `to`"
        )
    chosen = choose_rows(output)
    rows = [each.row for scan in chosen.scans for each in scan]
    if isinstance(cohort, str | os.PathLike):
        cohort = read_cohort(cohort, masks, leave_out=[folder])
    found = noted(folder, rows) if cohort is None else in_cohort(cohort, rows, output.provenance)
    written, problems = dict.fromkeys(targets, 0), []
    with locked(folder / STATE), _replaced(folder / EXPORTS, targets, written) as staging:
        open_targets = {name: TARGETS[name](staging) for name in targets}
        for scan_rows in chosen.scans:
            problem = _export_scan(
                _Source(folder, output.provenance, chosen.names),
                [(found.of(each.row), each) for each in scan_rows], open_targets, written,
            )  # fmt: skip
            problems += [problem] if problem else []
        for name, target in open_targets.items():
            if written[name]:
                target.finish()
    return ExportAccount(written, chosen.left_out, tuple(problems))


def _checked(to: Sequence[str]) -> list[str]:
    """Return the targets in the order in which they are written."""
    if unknown := [name for name in to if name not in TARGETS]:
        raise ValueError(f"`to`: there is no {unknown[0]!r}; give any of {', '.join(TARGETS)}")
    if not to:
        raise ValueError(f"`to` is empty; give any of {', '.join(TARGETS)}")
    if dicom_sr.TARGET in to and dicom_seg.TARGET not in to:
        raise ValueError("`to`: dicom-sr refers to the segments of dicom-seg; give both")
    package = missing("highdicom", "'pancseg[dicom]'")
    if package and (named := _of(_BY_HIGHDICOM, to)):
        raise ValueError(f"{named} needs {package}")
    return [name for name in TARGETS if name in to]


def _of(some: Sequence[str], targets: Sequence[str]) -> str:
    return " and ".join(name for name in some if name in targets)


class _Source(NamedTuple):
    """What is exported: the folder, its provenance, and keys of the names of its scans."""

    folder: Path
    provenance: Mapping[str, Any]
    scans: Collection[str]


def _export_scan(
    source: _Source,
    rows: Sequence[tuple[Case | None, ExportRow]],
    targets: Mapping[str, Target],
    written: dict[str, int],
) -> str:
    """Export one scan; return a line about what was not, or an empty text."""
    first = rows[0][1].row
    name = "_".join(part for part in (first.patient_id, first.scan_id) if part)
    known = [(case, row) for case, row in rows if case is not None]
    if len(known) < len(rows):
        return f"{name}: it is not known where its scan is; give `cohort`"
    try:
        scan = read_for_export(source.folder, known, source.provenance, source.scans)
    except UnusableCase as unusable:
        return f"{name}: {unusable.fact}"
    lost, why = [], ""
    for target, writer in targets.items():
        try:
            if target in DICOM:
                scan.source  # noqa: B018  before anything is written
            writer.write(scan)
            written[target] += 1
        except UnusableCase as unusable:
            lost.append(target)
            why = unusable.fact
    return f"{name}: no {', '.join(lost)}: {why}" if lost else ""


@contextmanager
def _replaced(
    folder: Path, targets: Sequence[str], written: Mapping[str, int]
) -> Iterator[Path]:  # fmt: skip
    """Yield a folder to write targets to; at the end of the block, they replace earlier ones.

    Args:
        folder: of all exports.
        targets: names of subfolders.
        written: what has been written; an empty target replaces nothing.
    """
    check_writable(folder)
    for entry in folder.iterdir():
        if is_leftover(entry.name):  # of a killed process
            shutil.rmtree(entry, ignore_errors=True)
    staging, old = partial_path(folder / "new"), partial_path(folder / "old")
    staging.mkdir()
    try:
        yield staging
        old.mkdir()
        for name in targets:
            if written[name]:
                if (folder / name).exists():
                    (folder / name).rename(old / name)
                (staging / name).rename(folder / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
