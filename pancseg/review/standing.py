"""Tell which decisions about a row stand: the verdict, and the comments after it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pancseg.review.decisions import Decision, Kind


class Standing(NamedTuple):
    """A decision as it stands for a row.

    Attributes:
        made: the decision.
        holds: whether it is about the mask that the row has now.
    """

    made: Decision
    holds: bool

    @property
    def decision(self) -> Kind:
        """``accept``, ``reject`` or ``comment``."""
        return self.made.decision


def by_row(decisions: Iterable[Decision]) -> dict[str, list[Decision]]:
    """Return key of a case → its decisions, in order."""
    found: dict[str, list[Decision]] = {}
    for made in decisions:
        found.setdefault(made.key, []).append(made)
    return found


def stands(made: Decision, mask_sha256: str) -> Standing:
    """Return a decision with whether it is about a row's mask (empty: there is none)."""
    return Standing(made, bool(mask_sha256) and made.mask_sha256 == mask_sha256)


def standing(decisions: Iterable[Decision], mask_sha256: str) -> tuple[Standing, ...]:
    """Return the verdict that stands and the comments after it, each with whether it holds.

    The verdict is the last one about the row's mask, as for a run; if nobody has judged this mask,
    it is the last one about any.

    Args:
        decisions: all decisions about the row, in order.
        mask_sha256: hash of the row's mask; empty if it has none.
    """
    found = [stands(made, mask_sha256) for made in decisions]
    verdicts = [number for number, each in enumerate(found) if each.decision != "comment"]
    if not verdicts:
        return tuple(found)
    last = max((number for number in verdicts if found[number].holds), default=verdicts[-1])
    later = (each for each in found[last + 1 :] if each.decision == "comment")
    return found[last], *later
