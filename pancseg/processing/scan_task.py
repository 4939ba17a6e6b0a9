"""What is to be done with one scan: its rows, and where their masks and pictures are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pancseg.cohort.case import Case


@dataclass(frozen=True)
class ScanTask:
    """The rows of one scan, and the paths of its mask.

    Attributes:
        cases: cases with the same image, series and scan name, in order.
        new_mask: path to write a mask of the network to.
        ready_mask: path of an existing mask of this scan, to be used instead of the network.
        ready_source: ``qc_mask_source`` of the existing mask.
        ready_looks_dice: agreement of the two looks that made the existing mask, if it is known.
        features_bytes: memory that the features of each region may take; None for no limit.
        pictures: folder to write the rows' pictures to; None for none.
        corrected: keys of the cases whose region a person corrected in the given mask.
    """

    cases: tuple[Case, ...]
    new_mask: Path | None = None
    ready_mask: Path | None = None
    ready_source: str = ""
    ready_looks_dice: float | None = None
    features_bytes: int | None = None
    pictures: Path | None = None
    corrected: frozenset[str] = frozenset()

    @property
    def typed(self) -> frozenset[str]:
        """Names of segments in the expressions of the rows."""
        return frozenset(n for c in self.cases if c.mask_label for n in c.mask_label.names)
