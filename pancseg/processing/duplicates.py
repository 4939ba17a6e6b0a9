"""Find rows whose scan occurs in the cohort under another id too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pancseg.cohort.case import name_key
from pancseg.processing.evidence import Status
from pancseg.processing.row import CaseResult

VOXELS = "voxels_sha256"
"""Name of the hash of a scan's voxels alone, which ``check`` compares; it is not in any table."""
_MOST_NAMES = 3


def with_duplicates(results: Sequence[CaseResult], column: str, status: Status) -> list[CaseResult]:
    """Add the reason ``duplicate`` to every row whose scan has the same hash as another id's scan.

    Two readings of one scan are no duplicates (:func:`_are_readings`). The reasons depend on the
    rows alone, not on the order in which they were made.

    Args:
        results: all rows of a cohort.
        column: name of the column with the hash; rows without a hash are not compared.
        status: status of a duplicate, unless the row's own status is worse.
    """
    digests = [str(result.values.get(column, "")) for result in results]
    found: dict[str, dict[str, list[CaseResult]]] = {}
    for digest, result in zip(digests, results, strict=True):
        found.setdefault(digest, {}).setdefault(result.case.scan_name, []).append(result)
    doubled: dict[tuple[str, str], tuple[str, ...]] = {}
    for digest, scans in found.items():
        if digest and len(scans) > 1:
            doubled |= {(digest, name): _others(name, scans) for name in scans}
    others = (
        doubled.get((digest, result.case.scan_name))
        for digest, result in zip(digests, results, strict=True)
    )
    return [
        _noted(result, names, status) if names else result
        for result, names in zip(results, others, strict=True)
    ]


def _others(name: str, scans: Mapping[str, Sequence[CaseResult]]) -> tuple[str, ...]:
    """Return the names of the other scans with the same voxels that are no readings of this one."""
    own = scans[name]
    return tuple(
        other
        for other, rows in sorted(scans.items())
        if other != name and not _are_readings(own, rows)
    )


def _are_readings(rows: Sequence[CaseResult], others: Sequence[CaseResult]) -> bool:
    """Return whether two scans are one scan that was read twice, for example by two readers.

    That is so if they are of one patient and have different masks, which were given, and if either
    the same image is meant by both, or both name a reader. A copy of the image under another name
    is more likely a mistake.
    """
    one, other = rows[0].case, others[0].case
    if name_key(one.patient_id) != name_key(other.patient_id):
        return False
    readers = one.reader, other.reader
    same = (os.path.realpath(one.image), one.series_uid) == (
        os.path.realpath(other.image), other.series_uid
    )  # fmt: skip
    if not same and not (all(readers) and readers[0] != readers[1]):
        return False
    return _masks(rows).isdisjoint(_masks(others)) and bool(_masks(rows) and _masks(others))


def _masks(rows: Sequence[CaseResult]) -> set[tuple[str, str]]:
    """Return region and hash of each given mask; the file's path where it could not be read."""
    return {
        (name_key(row.case.roi), str(row.values.get("mask_sha256") or row.case.mask))
        for row in rows
        if row.case.mask
    }


def _noted(result: CaseResult, others: tuple[str, ...], status: Status) -> CaseResult:
    return replace(result.noted("duplicate", status, same_voxels(others)), same_scan=others)


def same_voxels(others: Sequence[str]) -> str:
    """Return the fact of a duplicate, which names the first few of the other scans."""
    more = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
    return f"its scan has the same voxels as that of {', '.join(others[:_MOST_NAMES])}{more}"
