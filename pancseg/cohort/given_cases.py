"""Hold cases that a caller made to the same rules as the rows of a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pancseg.cohort.case import NO_NAME, Case, is_name
from pancseg.cohort.formulas import refuse_formulas, without_formula
from pancseg.cohort.manifest import duplicates, scans_of_one_name
from pancseg.errors import CohortError


def checked(cases: Sequence[Case]) -> list[Case]:
    """Return cases whose ids can stand in tables and file names, and mean one scan each.

    Texts of further columns that begin like formulas get a quote, as a manifest's do.

    Args:
        cases: the cohort.

    Raises:
        ValueError: an id begins like a formula.
        CohortError: an id cannot be a file name, occurs twice, or means two scans; lists all.

    Example:
        >>> [case.name for case in checked([Case("P1", "P1.nii.gz", scan_id="baseline")])]
        ['P1_baseline']
    """
    ids = [
        (case, column, text)
        for case in cases
        for column in ("patient_id", "scan_id", "reader", "roi")
        if (text := getattr(case, column)) or column == "patient_id"
    ]
    refuse_formulas((text for _, _, text in ids), "ids and regions", "change them")
    problems = [
        f"{case.name!r}: {column} {NO_NAME if text else 'is empty'}; change it"
        for case, column, text in ids
        if not (text and is_name(text))
    ]
    labels = [repr(case.name) for case in cases]
    problems += duplicates(cases, labels) + scans_of_one_name(cases, labels)
    if problems:
        raise CohortError(problems)
    return [
        replace(case, extra=tuple((name, without_formula(text)) for name, text in case.extra))
        for case in cases
    ]
