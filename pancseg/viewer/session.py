"""One viewing of an output folder: its rows, scans and masks, and what was saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any

from pancseg.cohort.case import Case
from pancseg.errors import UnusableCase
from pancseg.report.rows import ReportRow
from pancseg.report.whereabouts import Whereabouts
from pancseg.review.decisions import REVIEW
from pancseg.viewer.mask_files import MaskFiles
from pancseg.viewer.masks import Mask, Masks
from pancseg.viewer.part import (
    MOST_VOXELS,
    WHOLE_VOXELS,
    Part,
    part_around,
    part_from,
    reduced_whole,
    whole,
)
from pancseg.viewer.refusal import Refusal
from pancseg.viewer.rows import Table, ViewedRow
from pancseg.viewer.volumes import Volume, Volumes, trace_of

NOT_KNOWN = "it is not known where the scan is; start the viewer again with `scans`"
_REDUCED = "the scan is reduced here; go to its full resolution to correct the mask"


@dataclass(frozen=True)
class Query:
    """Which part of a scan is asked for.

    Attributes:
        first: its first slice, counted from the feet, from 1; None: around the mask.
        whole: the whole scan, reduced if need be.
    """

    first: int | None = None
    whole: bool = False


@dataclass(frozen=True)
class View:
    """A row with its scan in memory.

    Attributes:
        viewed: the row.
        case: its files.
        volume: its scan.
        mask: its mask.
        part: the part of both that is shown.
    """

    viewed: ViewedRow
    case: Case
    volume: Volume
    mask: Mask
    part: Part

    @property
    def changed(self) -> bool:
        """Whether the mask is not the one that the table's row was measured on."""
        return self.mask.region_sha256 != self.viewed.mask_sha256

    @property
    def scan_changed(self) -> bool:
        """Whether the scan is not the one that the table's row was measured on."""
        return self.viewed.image_sha256 not in ("", self.volume.sha256)


@dataclass
class Session:
    """What one viewer has open.

    Attributes:
        folder: the output folder.
        table: its table.
        look: finds where the scans and given masks of rows are.
        read_only: why nothing may be saved, in words; empty if it may.
        words: turns a text that names parameters in backticks into the caller's words.
        reviewer: who decided last; empty at first.
        saved_masks: numbers of the rows whose mask was saved.
        decisions: how many decisions were recorded.
        whole_voxels: scans of at most so many are shown whole.
        most_voxels: of a part of others.
        whereabouts: where the scans and given masks are.
    """

    folder: Path
    table: Table
    look: Callable[[Sequence[ReportRow]], Whereabouts]
    read_only: str = ""
    words: Callable[[str], str] = str
    reviewer: str = ""
    saved_masks: set[int] = field(default_factory=set)
    decisions: int = 0
    whole_voxels: int = WHOLE_VOXELS
    most_voxels: int = MOST_VOXELS
    whereabouts: Whereabouts = field(init=False)

    def __post_init__(self) -> None:
        """Make what reads scans and masks."""
        self._volumes = Volumes()
        self._looking = Lock()
        self._looked: Mapping[int, ViewedRow] | None = None
        self._look_again()
        self._parts: dict[int, Part] = {}
        self._shown: dict[int, tuple[Path | None, object, bool]] = {}
        self._saving = Lock()

    @property
    def account(self) -> str:
        """What was saved, and what to do next, in one line."""
        saved = [
            f"{count} {name if count == 1 else name + 's'}"
            for count, name in ((len(self.saved_masks), "mask"), (self.decisions, "decision"))
            if count
        ]
        if not saved:
            return "the viewer has stopped; nothing was saved"
        return f"the viewer has stopped; {' and '.join(saved)} saved: give the same run again"

    def read_first(self) -> None:
        """Read what the page will most likely open first, while the browser starts."""
        rows = list(self.table.rows().values())
        first = next((each for each in rows if each.row.to_look_at), rows[0] if rows else None)
        if first:
            with suppress(UnusableCase, Refusal, OSError, ValueError):  # told once it is asked for
                self.view(first, Query())

    def close(self) -> None:
        """Wait for what is being read, and read nothing any more."""
        self._volumes.close()
        self._masks.close()

    @property
    def trace(self) -> str:
        """A text that differs once a run or a decision has changed the output folder; cheap."""
        return str((self.table.trace, trace_of(self.folder / REVIEW)))

    def _look_again(self) -> None:
        """Find where the rows' scans and masks are, if a run has changed the table since."""
        with self._looking:
            rows = self.table.rows()
            if rows is self._looked:
                return
            self.whereabouts = self.look([each.row for each in rows.values()])
            self._files = MaskFiles(self.folder, self.table, self.whereabouts)
            self._masks = Masks(_default_label(self.table.provenance))
            self._looked = rows

    def row(self, n: int) -> ViewedRow | None:
        """Return the row of a number; None if the table has none such."""
        return self.table.rows().get(n)

    def view(self, viewed: ViewedRow, query: Query) -> View:
        """Read the scan and the mask of a row.

        Raises:
            UnusableCase: there is no scan to be shown; ``fact`` says why.
        """
        case = self.case_of(viewed)
        if case is None:
            raise UnusableCase("unreadable", NOT_KNOWN)
        volume = self._volumes.of(case)
        mask = self._masks.of(case, self._files.of(case), volume, self.whereabouts.cases)
        view = View(viewed, case, volume, mask, self._part(viewed.n, query, volume, mask))
        path = mask.file.path
        self._shown[viewed.n] = path, path and trace_of(path), view.changed
        return view

    def shows_other_mask(self, viewed: ViewedRow) -> bool:
        """Return whether the mask that the page has of a row is not the one in the table.

        It is the table's as long as the page has only shown the row's picture.
        """
        path, trace, changed = self._shown.get(viewed.n, (None, None, False))
        if path is None or trace_of(path) == trace:
            return changed
        try:
            return self.view(viewed, Query()).changed  # another row may share the file
        except UnusableCase:
            return True

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Let one request at a time save.

        Raises:
            Refusal: nothing may be saved.
        """
        if self.read_only:
            raise Refusal(HTTPStatus.FORBIDDEN, self.read_only)
        with self._saving:
            yield

    def case_of(self, viewed: ViewedRow) -> Case | None:
        """Return the files of a row; None if it is not known where they are."""
        self._look_again()
        return self.whereabouts.of(viewed.row)

    def why_not(self, view: View) -> str:
        """Return why a mask may not be changed in a view; empty if it may."""
        return self.read_only or view.mask.why_not or (_REDUCED if view.part.reduced else "")

    def _part(self, n: int, query: Query, volume: Volume, mask: Mask) -> Part:
        if query.whole:
            return reduced_whole(volume.size, volume.spacing_mm, self.whole_voxels)
        if math.prod(volume.size) <= self.whole_voxels:
            return whole(volume.size)
        if query.first is not None:
            return part_from(volume.size, query.first - 1, self.most_voxels)
        known = self._parts.get(n)
        if known is None or known.of != volume.size:  # it stays when the mask is changed
            known = part_around(volume.size, volume.spacing_mm, mask.box, self.most_voxels)
            self._parts[n] = known
        return known


def _default_label(provenance: Mapping[str, Any]) -> int | None:
    settings = provenance.get("features")
    label = settings.get("label") if isinstance(settings, Mapping) else None
    return label if isinstance(label, int) else None
