"""Expand the scans of a cohort into rows: one row per scan and requested region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pancseg.cohort.case import DEFAULT_ROI, Case, is_name, name_key
from pancseg.cohort.formulas import NO_FORMULA, is_formula
from pancseg.cohort.roi import Roi, as_roi, parse_roi


def named_regions(texts: Iterable[str]) -> dict[str, Roi]:
    """Parse regions written as ``NAME=EXPRESSION``, and keep their order.

    >>> {name: str(roi) for name, roi in named_regions(["tumour=2", "whole = 2+1"]).items()}
    {'tumour': '2', 'whole': '1,2'}

    Raises:
        ValueError: a name that cannot be part of a file name, a name given twice, or a text that
            is not an expression.
    """
    regions: dict[str, Roi] = {}
    for text in texts:
        name, equals, expression = (part.strip() for part in text.partition("="))
        if not (equals and is_name(name)):
            raise ValueError(
                f"`roi` {text[:60]!r}: expected NAME=EXPRESSION, such as 'tumour=2', with a NAME "
                'that has no / \\ : * ? " < > | or invisible characters, and no dot at either end'
            )
        if is_formula(name):
            raise ValueError(f"`roi`: the name {name[:40]!r} {NO_FORMULA}; choose another")
        if name_key(name) in map(name_key, regions):
            raise ValueError(
                f"`roi` {text[:60]!r}: a region {name[:60]!r} is given already; rename one"
            )
        try:
            regions[name] = parse_roi(expression)
        except ValueError as error:
            raise ValueError(f"`roi` {name[:60]}: {error}") from error
    return regions


def one_per_region(cases: Iterable[Case], regions: Mapping[str, Roi]) -> list[Case]:
    """Return one row per scan and region: scan by scan, in the order of the regions.

    Args:
        cases: the scans.
        regions: name → expression.

    Raises:
        ValueError: a case names a region already, or two rows would have the same name.
    """
    cases = list(cases)
    for case in cases:
        if case.roi != DEFAULT_ROI or case.mask_label:
            raise ValueError(
                f"{case.name}: the manifest names a region too (roi or mask_label); "
                "leave those cells empty, or omit `roi`"
            )
    rows = [
        replace(case, roi=name, mask_label=region)
        for case in cases
        for name, region in regions.items()
    ]
    named: dict[str, Case] = {}
    for row in rows:
        if (other := named.setdefault(row.key, row)) is not row:
            raise ValueError(
                f"{row.scan_name} in region {row.roi} and {other.scan_name} in region {other.roi} "
                f"would both be named {other.name}; rename the region"
            )
    return rows


def with_label(cases: Iterable[Case], label: int | str | Roi) -> list[Case]:
    """Return the cases with a label set where they have a mask and name no label."""
    chosen = as_roi(label)
    return [replace(c, mask_label=c.mask_label or chosen) if c.mask else c for c in cases]


def one_per_scan(cases: Iterable[Case]) -> list[Case]:
    """Return one row per scan, for its whole mask, in the order of each scan's first row."""
    scans: dict[str, Case] = {}
    for case in cases:
        scans.setdefault(name_key(case.scan_name), case)
    return [replace(case, roi=DEFAULT_ROI, mask_label=None) for case in scans.values()]
