"""Messages between the process that runs a cohort and its workers: plain, picklable values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pancseg.cohort.case import Case
from pancseg.processing.picture_names import Mark
from pancseg.processing.row import CaseResult
from pancseg.system.processes.build import Build
from pancseg.system.stage import Stage
from pancseg.system.whole_files import partial_path
from pancseg.tables.fields import Value


class MadeFrom(NamedTuple):
    """The keys of what the network made a mask from, and what is known of it beside its voxels.

    Attributes:
        key: key of everything: scan, series and network.
        scan: key of the scan and series alone; empty in journals of earlier versions.
        looks_dice: agreement of the first look with both; None if there were not two.
    """

    key: str
    scan: str
    looks_dice: float | None = None


@dataclass(frozen=True)
class Request:
    """The rows of one scan, to be made, or to be found unchanged.

    Attributes:
        cases: the cases of the scan, in order.
        known: for each case, the keys of earlier results that may be reused.
        masks: folder of the network's masks; None if the network makes none.
        earlier_masks: SHA-256 → what it was made from, for every mask file that earlier runs wrote
            for this scan.
        drawn_on: keys of the scans' contents on which a person drew a mask of this name.
        corrected: key of a case → hashes of the given masks in which a person corrected its region.
        other_scans: keys of names in the folder of masks that are other scans' own.
        memory_bytes: memory that the scan is expected to need.
        features_bytes: memory that the features of each region may take; None for no limit.
        pictures: folder of the rows' pictures; None if none are made.
        marks: for each case, key of an earlier result → what its pictures show; only with
            ``pictures``.
        too_large: why only unchanged rows may be returned, as the scan does not fit into memory;
            empty if it fits.
        limit_s: seconds after which the process of a worker is ended; None: according to the size.
        most_bytes: memory that a worker in another process may take beyond what it takes while it
            waits; 0 for no limit.
    """

    cases: tuple[Case, ...]
    known: tuple[frozenset[str], ...]
    masks: Path | None = None
    earlier_masks: dict[str, MadeFrom] = field(default_factory=dict)
    memory_bytes: int = 0
    features_bytes: int | None = None
    too_large: str = ""
    limit_s: float | None = None
    most_bytes: int = 0
    pictures: Path | None = None
    marks: tuple[dict[str, Mark], ...] = ()
    drawn_on: frozenset[str] = frozenset()
    corrected: Mapping[str, frozenset[str]] = field(default_factory=dict)
    other_scans: frozenset[str] = frozenset()

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
        build: the pancseg that it runs; None from versions that do not tell it.
    """

    network_info: dict[str, Any]
    build: Build | None = None


class Refused(NamedTuple):
    """A worker cannot process scans as planned; ``fact`` is one line for the user."""

    fact: str


class RowKeys(NamedTuple):
    """The keys of a request's rows, in order, sent as soon as they are known."""

    keys: tuple[str, ...]


class MaskMade(NamedTuple):
    """A new mask is at ``new_mask_path``.

    Attributes:
        digest: its SHA-256.
        made: what it was made from.
        positions: positions, in the request, of the cases whose rows are made on it.
    """

    digest: str
    made: MadeFrom
    positions: tuple[int, ...] = ()


class RowDone(NamedTuple):
    """One row is done.

    Attributes:
        position: position of the case in the request, from 0.
        key: key of the row; empty if the row must not be reused.
        result: the result; None if the earlier result under this key still holds.
        mask: SHA-256 of the mask's file, empty if there is none; None if it is not known.
    """

    position: int
    key: str
    result: CaseResult | None
    mask: str | None = None


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


Message = Ready | Refused | RowKeys | MaskMade | RowDone | ScanDone | OutputLost | Stage
"""A ``Stage`` is told while a scan is processed, and may be lost; nothing depends on it."""

OnStage = Callable[[Request, Stage], None]
"""Gets a request in work and the stage that it has reached."""
