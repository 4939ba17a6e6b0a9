"""The words behind the values of coded columns, as a table for SPSS, R and other programs.

``value_labels.tsv`` has the columns ``column``, ``value`` and ``label``, separated by tabs. A cell
of ``qc_reasons`` can hold several of its values, joined by ``;``.
"""

from __future__ import annotations

from collections.abc import Iterable

from pancseg.reasons import EXCEPTION, REASONS

OTHER_REASON = "KeyError, …"
"""Stands for the name of any exception."""

VALUE_LABELS: dict[str, dict[str, str]] = {
    "qc_status": {
        "pass": "usable",
        "warn": "usable; see qc_reasons",
        "fail": "not usable; see qc_reasons",
        "error": "not measured, because something went wrong in the program; see qc_reasons",
    },
    "qc_reasons": {
        **{str(code): reason.happened for code, reason in REASONS.items()},
        OTHER_REASON: EXCEPTION.happened,
    },
    "qc_mask_source": {
        "given": "the mask was given",
        "corrected": "the network made the mask, or it was given, and a person corrected it",
        "drawn": "a person drew the mask where the network found nothing",
    },
    "qc_touches_edge": {
        "0": "the region lies within the scan",
        "1": "the region touches the scan's edge",
    },
    "qc_phase_hint": {
        "portal_venous": "portal-venous phase",
        "arterial": "arterial phase",
        "native": "no contrast agent",
        "delayed": "delayed phase",
    },
}
"""Column → value → label."""


def decoded(column: str) -> str:
    """Return the values of a column with their labels, in one line.

    >>> decoded("qc_touches_edge")
    "0 = the region lies within the scan | 1 = the region touches the scan's edge"
    """
    return " | ".join(f"{value} = {label}" for value, label in VALUE_LABELS[column].items())


def value_labels(names: Iterable[tuple[str, str]]) -> bytes:
    """Return ``value_labels.tsv`` for a table.

    Args:
        names: name and original name of each column of the table.
    """
    lines = ["column\tvalue\tlabel"]
    for name, original in names:
        labels = VALUE_LABELS.get(original, {})
        lines += [f"{name}\t{value}\t{label}" for value, label in labels.items()]
    return ("\n".join(lines) + "\n").encode()
