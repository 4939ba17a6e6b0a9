"""Owns which rows' scans are there under another id as well. Knows rows alone, no files."""

from __future__ import annotations

from collections.abc import Sequence

from pancseg.processing.row import CaseResult, Status

_MOST_NAMES = 3


def with_duplicates(
    outcomes: Sequence[CaseResult], column: str, status: Status
) -> list[CaseResult]:
    """Note the reason ``duplicate`` on every row whose scan has the hash of another id's scan.

    What is noted depends on the rows alone: not on who made them, nor when.

    Args:
        outcomes: all rows of a cohort.
        column: with the hash; rows without one are nobody's duplicate.
        status: which a duplicate gets, unless it is worse off already.
    """
    digests = [str(outcome.values.get(column, "")) for outcome in outcomes]
    found: dict[str, set[str]] = {}
    for digest, outcome in zip(digests, outcomes, strict=True):
        found.setdefault(digest, set()).add(outcome.case.scan_name)
    shared = {key: sorted(names) for key, names in found.items() if key and len(names) > 1}
    return [
        _noted(outcome, shared[digest], status) if digest in shared else outcome
        for digest, outcome in zip(digests, outcomes, strict=True)
    ]


def _noted(outcome: CaseResult, names: Sequence[str], status: Status) -> CaseResult:
    some = [name for name in names[: _MOST_NAMES + 1] if name != outcome.case.scan_name]
    more = f" and {len(names) - 1 - _MOST_NAMES} more" if len(names) - 1 > _MOST_NAMES else ""
    fact = f"its scan has the same voxels as that of {', '.join(some[:_MOST_NAMES])}{more}"
    return outcome.noted("duplicate", status, fact)
