"""Say which usable rows a person should look at: one definition for summary, page and viewer."""

from __future__ import annotations

GIVEN = "given"
"""``qc_mask_source`` of a mask that the user gave."""
CORRECTED = "corrected"
"""``qc_mask_source`` of a mask that the network made, or the user gave, and a person corrected."""
DRAWN = "drawn"
"""``qc_mask_source`` of a mask that a person drew where the network had found nothing."""
BY_PERSON = frozenset({GIVEN, CORRECTED, DRAWN})
"""``qc_mask_source`` of masks that are a person's work."""
_NATIVE = "native"
"""``qc_phase_hint`` of a scan without contrast agent, in which no network here was trained."""


def to_look_at(status: str, source: str, phase: str, *, accepted: bool) -> bool:
    """Return whether a usable row asks for a look: it warns, and nobody has accepted its mask.

    Warnings about a mask that a person drew ask for none, except where the scan is native.

    Args:
        status: ``qc_status``.
        source: ``qc_mask_source``; empty if there is no mask.
        phase: ``qc_phase_hint``.
        accepted: whether a person accepted the mask as it is.

    >>> to_look_at("warn", "monet_open", "", accepted=False)
    True
    >>> to_look_at("warn", "given", "", accepted=False)
    False
    >>> to_look_at("warn", "given", "native", accepted=False)
    True
    """
    by_network = source not in BY_PERSON | {""}
    return status == "warn" and not accepted and (by_network or phase == _NATIVE)


def counted(usable: int, look: int, accepted: int, others: int) -> str:
    """Return the numbers of a table's rows in words.

    Args:
        usable: rows that can be used in an analysis.
        look: usable rows that ask for a look.
        accepted: usable rows whose mask a person accepted.
        others: rows that cannot be used.

    >>> counted(12, 5, 0, 1)
    '12 usable, of these 5 to look at; 1 not usable'
    >>> counted(12, 5, 3, 1)
    '12 usable, of these 3 accepted and 5 to look at; 1 not usable'
    """
    told = ((accepted, "accepted"), (look, "to look at"))
    parts = " and ".join(f"{count:,} {what}" for count, what in told if count)
    of_these = f", of these {parts}" if parts else ""
    return f"{usable:,} usable{of_these}; {others:,} not usable"
