"""Find rows whose scan occurs in the cohort under another id too."""

from __future__ import annotations

from collections.abc import Sequence

from pancseg.processing.row import CaseResult, Status

_MOST_NAMES = 3


def with_duplicates(results: Sequence[CaseResult], column: str, status: Status) -> list[CaseResult]:
    """Add the reason ``duplicate`` to every row whose scan has the same hash as another id's scan.

    The reasons depend on the rows alone, not on the order in which they were made.

    Args:
        results: all rows of a cohort.
        column: name of the column with the hash; rows without a hash are not compared.
        status: status of a duplicate, unless the row's own status is worse.
    """
    digests = [str(result.values.get(column, "")) for result in results]
    found: dict[str, set[str]] = {}
    for digest, result in zip(digests, results, strict=True):
        found.setdefault(digest, set()).add(result.case.scan_name)
    shared = {key: sorted(names) for key, names in found.items() if key and len(names) > 1}
    return [
        _noted(result, shared[digest], status) if digest in shared else result
        for digest, result in zip(digests, results, strict=True)
    ]


def _noted(result: CaseResult, names: Sequence[str], status: Status) -> CaseResult:
    some = [name for name in names[: _MOST_NAMES + 1] if name != result.case.scan_name]
    more = f" and {len(names) - 1 - _MOST_NAMES} more" if len(names) - 1 > _MOST_NAMES else ""
    fact = f"its scan has the same voxels as that of {', '.join(some[:_MOST_NAMES])}{more}"
    return result.noted("duplicate", status, fact)
