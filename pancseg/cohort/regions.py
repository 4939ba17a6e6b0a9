"""Owns which rows a cohort's scans give: one per region that is asked for.

Knows nothing about files and images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pancseg.cohort.case import DEFAULT_ROI, Case, is_name, name_key
from pancseg.cohort.roi import Labels, Roi, parse_roi


def named_regions(texts: Iterable[str]) -> dict[str, Roi]:
    """Parse regions written as ``NAME=EXPRESSION``; they keep their order.

    Raises:
        ValueError: a name that cannot be a file's, two of one name, or no expression.
    """
    regions: dict[str, Roi] = {}
    for text in texts:
        name, equals, expression = (part.strip() for part in text.partition("="))
        if not (equals and is_name(name)):
            raise ValueError(
                f"`roi` {text!r}: a region is NAME=EXPRESSION, such as 'tumour=2', and its name "
                'has no / \\ : * ? " < > |, no unseen character, no dot at an end'
            )
        if name_key(name) in map(name_key, regions):
            raise ValueError(f"`roi` {text!r}: there is a region {name!r} before it; rename one")
        try:
            regions[name] = parse_roi(expression)
        except ValueError as error:
            raise ValueError(f"`roi` {name}: {error}") from error
    return regions


def one_per_region(cases: Iterable[Case], regions: Mapping[str, Roi]) -> list[Case]:
    """Return a row of every scan for every region: scan by scan, in the regions' order.

    Raises:
        ValueError: a case names its own region, or two rows would have one name.
    """
    cases = list(cases)
    for case in cases:
        if case.roi != DEFAULT_ROI or case.mask_label:
            raise ValueError(
                f"{case.name}: the manifest has regions of its own (roi or mask_label); "
                "leave those cells empty, or leave out `roi`"
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
                f"would both be the row {other.name}; rename the region"
            )
    return rows


def with_label(cases: Iterable[Case], label: int) -> list[Case]:
    """Give a label to the cases that have a mask and name no label themselves."""
    chosen = Labels((label,))
    return [replace(c, mask_label=c.mask_label or chosen) if c.mask else c for c in cases]


def one_per_scan(cases: Iterable[Case]) -> list[Case]:
    """Return one row per scan, for its whole mask; in the order in which scans come first."""
    scans: dict[str, Case] = {}
    for case in cases:
        scans.setdefault(name_key(case.scan_name), case)
    return [replace(case, roi=DEFAULT_ROI, mask_label=None) for case in scans.values()]
