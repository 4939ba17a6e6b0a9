"""Messages between the process that runs a cohort and its workers: plain, picklable values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pancseg.cohort.case import Case
from pancseg.processing.row import CaseResult
from pancseg.system.whole_files import partial_path
from pancseg.tables.fields import Value


class MadeFrom(NamedTuple):
    """The keys of what the network made a mask from.

    Attributes:
        key: key of everything: scan, series and network.
        scan: key of the scan and series alone; empty in journals of earlier versions.
    """

    key: str
    scan: str


@dataclass(frozen=True)
class Request:
    """The rows of one scan, to be made, or to be found unchanged.

    Attributes:
        cases: the cases of the scan, in order.
        known: for each case, the keys of earlier results that may be reused.
        masks: folder of the network's masks; None if the network makes none.
        earlier_masks: SHA-256 → what it was made from, for every mask file that earlier runs wrote
            for this scan.
        memory_bytes: memory that the scan is expected to need.
        too_large: why only unchanged rows may be returned, as the scan does not fit into memory;
            empty if it fits.
    """

    cases: tuple[Case, ...]
    known: tuple[frozenset[str], ...]
    masks: Path | None = None
    earlier_masks: dict[str, MadeFrom] = field(default_factory=dict)
    memory_bytes: int = 0
    too_large: str = ""

    @property
    def name(self) -> str:
        """The scan's name."""
        return self.cases[0].scan_name

    @property
    def mask_path(self) -> Path:
        """Path of the network's mask of this scan."""
        assert self.masks is not None
        return self.masks / f"{self.name}.nii.gz"

    @property
    def new_mask_path(self) -> Path:
        """Path of a new mask until the journal has it and it gets its final name."""
        return partial_path(self.mask_path, "new")


class Ready(NamedTuple):
    """A worker is ready.

    Attributes:
        network_info: the weights and the engine, for the provenance; empty without a network.
    """

    network_info: dict[str, Any]


class Refused(NamedTuple):
    """A worker cannot process scans as planned; ``fact`` is one line for the user."""

    fact: str


class RowKeys(NamedTuple):
    """The keys of a request's rows, in order, sent as soon as they are known."""

    keys: tuple[str, ...]


class MaskMade(NamedTuple):
    """A new mask is at ``new_mask_path``; its SHA-256, and what it was made from."""

    digest: str
    made: MadeFrom


class RowDone(NamedTuple):
    """One row is done.

    Attributes:
        position: position of the case in the request, from 0.
        key: key of the row; empty if the row must not be reused.
        result: the result; None if the earlier result under this key still holds.
    """

    position: int
    key: str
    result: CaseResult | None


class ScanDone(NamedTuple):
    """All rows of a request are done.

    Attributes:
        seconds: time that the request took.
        stages: stage → seconds.
        peak_bytes: the worker's peak memory during this request; 0 where it is not known.
        acquisition: acquisition of a DICOM scan (``pancseg.processing.acquisition``).
    """

    seconds: float = 0.0
    stages: dict[str, float] = {}  # noqa: RUF012  never changed
    peak_bytes: int = 0
    acquisition: dict[str, Value] = {}  # noqa: RUF012  never changed


class OutputLost(NamedTuple):
    """A mask cannot be written; the run stops, as nothing later could be saved either."""

    fact: str


Message = Ready | Refused | RowKeys | MaskMade | RowDone | ScanDone | OutputLost
