"""What the process that runs a cohort and its workers tell each other: plain, picklable values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pancseg.cohort.case import Case
from pancseg.processing.row import CaseResult
from pancseg.system.whole_files import partial_path
from pancseg.tables.fields import Value


class MadeFrom(NamedTuple):
    """What the network made a mask from.

    Attributes:
        key: of everything: scan, series, network.
        scan: of the scan and the series alone; empty in journals that did not know it yet.
    """

    key: str
    scan: str


@dataclass(frozen=True)
class Request:
    """The rows of one scan, to be made or found unchanged.

    Attributes:
        cases: the rows, in order; all of one scan.
        known: for each row the keys of results that are there and may be used again.
        masks: folder of the masks that the network makes; None where it makes none.
        own_masks: SHA-256 of every mask file that earlier runs wrote for this scan, and what it was
            made from.
        memory_bytes: what the scan is expected to take.
        too_large: why only known rows may be had; empty: all may be made.
    """

    cases: tuple[Case, ...]
    known: tuple[frozenset[str], ...]
    masks: Path | None = None
    own_masks: dict[str, MadeFrom] = field(default_factory=dict)
    memory_bytes: int = 0
    too_large: str = ""

    @property
    def name(self) -> str:
        """The scan's name."""
        return self.cases[0].scan_name

    @property
    def mask_path(self) -> Path:
        """Where the network's mask of this scan lies."""
        assert self.masks is not None
        return self.masks / f"{self.name}.nii.gz"

    @property
    def new_mask_path(self) -> Path:
        """Where a worker leaves a new mask, until it is noted and gets its name."""
        return partial_path(self.mask_path, "new")


class Ready(NamedTuple):
    """A worker can begin; what it works with, for the provenance."""

    about: dict[str, Any]


class Refused(NamedTuple):
    """A worker cannot work as it was asked to; one line for the user."""

    fact: str


class RowKeys(NamedTuple):
    """The keys of a request's rows, as soon as they are known."""

    keys: tuple[str, ...]


class MaskMade(NamedTuple):
    """A new mask lies at ``new_mask_path``: its SHA-256, and what it was made from."""

    digest: str
    made: MadeFrom


class RowDone(NamedTuple):
    """One row: its place in the request, its key, and its outcome; None: what is known holds."""

    place: int
    key: str
    outcome: CaseResult | None


class ScanDone(NamedTuple):
    """All rows of a request are there.

    Attributes:
        seconds: from its start to its end.
        stages: seconds of each stage.
        peak_bytes: the worker's peak of memory during this request; 0 where it is not known.
        acquisition: what a DICOM scan says of its making (``pancseg.processing.acquisition``).
    """

    seconds: float = 0.0
    stages: dict[str, float] = {}  # noqa: RUF012  never changed
    peak_bytes: int = 0
    acquisition: dict[str, Value] = {}  # noqa: RUF012  never changed


class OutputLost(NamedTuple):
    """A mask cannot be written: nothing later could be kept either."""

    fact: str


Message = Ready | Refused | RowKeys | MaskMade | RowDone | ScanDone | OutputLost
