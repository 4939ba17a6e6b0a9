"""The work on one scan: which rows are known already, which mask can be taken, the rest anew."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.errors import OutputError, UnusableCase
from pancseg.features.check import check_feature_settings
from pancseg.processing import fingerprint
from pancseg.processing.acquisition import acquisition_of
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult, DraftRow, case_result
from pancseg.processing.scan import NO_MEMORY, ScanProcessor, ScanTask
from pancseg.running import keys
from pancseg.running.memory import PeakMemory
from pancseg.running.messages import (
    MadeFrom,
    MaskMade,
    Message,
    OutputLost,
    Request,
    RowDone,
    RowKeys,
    ScanDone,
)
from pancseg.system.timing import stages_into
from pancseg.tables.fields import Value

log = logging.getLogger(__name__)

CORRECTED = "corrected"
"""``qc_mask_source`` of a mask that the network made and somebody changed."""


class Worker:
    """Does requests one after the other; the network is loaded once."""

    def __init__(self, work: ProcessingPlan) -> None:
        """Load what the work needs.

        Raises:
            FileNotFoundError, ValueError: the weights or the engine are not to be had; ValueError
                also when the settings do not suit their mode.
        """
        if work.settings:
            check_feature_settings(work.settings)
        self._scan_work = ScanProcessor(work)
        self._work = work
        segmenter = self._scan_work.segmenter
        self._network = (
            (segmenter.checkpoint.sha256, segmenter.engine, segmenter.precision)
            if segmenter
            else None
        )

    @property
    def about(self) -> dict[str, Any]:
        """What the work is done with, for the provenance."""
        segmenter = self._scan_work.segmenter
        if segmenter is None:
            return {}
        checkpoint = segmenter.checkpoint
        return {
            "weights": {
                "name": checkpoint.name,
                "network": checkpoint.network,
                "sha256": checkpoint.sha256,
                "preprocessing": checkpoint.preprocessing.model_dump(mode="json"),
                **checkpoint.provenance,
            },
            "inference": {"engine": segmenter.engine, "precision": segmenter.precision},
        }

    def messages(self, request: Request) -> Iterator[Message]:
        """Do a request; the last message is ``ScanDone``, or ``OutputLost``."""
        start, peak = time.perf_counter(), PeakMemory()
        stages: dict[str, float] = {}
        rows = self._all_rows(request)
        while (message := _next_of(rows, stages)) is not None:
            yield message
            if isinstance(message, OutputLost):
                return
        acquisition = _acquisition(request.cases[0])
        spent = time.perf_counter() - start
        yield ScanDone(spent, stages, peak.bytes(), acquisition)

    def _all_rows(self, request: Request) -> Iterator[Message]:
        """Yield every row, whatever goes wrong beside them: it is the outcome of those left.

        Where the output is lost, that is the last message.
        """
        left = dict(enumerate(request.cases))
        try:
            for message in self._rows(request):
                if isinstance(message, RowDone):
                    del left[message.place]
                yield message
        except OutputError as error:
            yield OutputLost(error.strerror or str(error))
        except Exception as error:  # noqa: BLE001  told as what went wrong within a row is
            for index, case in left.items():
                yield RowDone(index, "", case_result(case, partial(_raise, error)))

    def _rows(self, request: Request) -> Iterator[Message]:
        image = keys.of_files(request.cases[0].image)
        series = request.cases[0].series_uid or ""
        made = MadeFrom(keys.of_mask(image, series, self._network), keys.of_scan(image, series))
        mask = _OwnMask(request, made if image else MadeFrom("", ""))
        found = tuple(self._key(case, image, mask) for case in request.cases)
        yield RowKeys(found)
        known = [k in known for k, known in zip(found, request.known, strict=True)]
        shared = [self._scan_work.takes_shared(case) for case in request.cases]
        if not mask.usable:  # the mask that these rows were measured on is gone
            known = [k and not s for k, s in zip(known, shared, strict=True)]
        for index in (i for i, holds in enumerate(known) if holds):
            yield RowDone(index, found[index], None)
        left = [i for i, holds in enumerate(known) if not holds]
        if request.too_large:
            for index in left:
                case = request.cases[index]
                yield RowDone(index, "", CaseResult(case, "fail", "memory", request.too_large))
            return
        if mask.foreign:
            for index in (i for i in left if shared[i]):
                case = request.cases[index]
                yield RowDone(
                    index, found[index], CaseResult(case, "fail", "mask_exists", mask.foreign)
                )
            left = [i for i in left if not shared[i]]
        if left:
            yield from self._made(request, left, found, mask)

    def _made(
        self, request: Request, left: list[int], found: tuple[str, ...], mask: _OwnMask
    ) -> Iterator[Message]:
        made: list[MaskMade] = []

        def on_mask(path: Path) -> None:
            made.append(MaskMade(keys.of_file(path), mask.made))

        cases = tuple(request.cases[i] for i in left)
        outcomes = self._scan_work.outcomes(self._task(request, cases, mask), on_mask)
        for index, outcome in zip(left, outcomes, strict=True):
            yield from made
            made.clear()
            yield RowDone(index, found[index], outcome)

    def _task(self, request: Request, cases: tuple[Case, ...], mask: _OwnMask) -> ScanTask:
        if not any(map(self._scan_work.takes_shared, cases)) or request.masks is None:
            return ScanTask(cases)
        if mask.usable:
            source = CORRECTED if mask.corrected else self._source
            return ScanTask(cases, ready_mask=request.mask_path, ready_source=source)
        if mask.made.scan:  # else the scan cannot be read now, and its mask may still be right
            try:
                request.mask_path.unlink(missing_ok=True)  # of an earlier run, of something else
            except OSError as error:
                raise OutputError(error.errno, error.strerror) from error
        return ScanTask(cases, new_mask=request.new_mask_path)

    @property
    def _source(self) -> str:
        assert self._scan_work.segmenter is not None
        return self._scan_work.segmenter.checkpoint.name

    def _key(self, case: Case, image: str, mask: _OwnMask) -> str:
        """Return the key of a row; empty when something that it is made from cannot be read."""
        work = self._work
        shared = self._scan_work.takes_shared(case)
        drawn = keys.of_files(case.mask) if case.mask and not shared else ""
        if not image or (case.mask and not shared and not drawn):
            return ""
        limits = keys.of_row(work.limits.model_dump(mode="json"))
        settings = fingerprint.of_settings(work.settings) if work.settings else limits
        made_from = mask.key_or_digest if shared else drawn
        how = [work.command, settings, work.keep_failed, work.uncertainty]
        what = [str(case.mask_label or ""), case.roi == DEFAULT_ROI, case.series_uid or "", shared]
        return keys.of_row(image, made_from, what, how)


def _next_of(messages: Iterator[Message], stages: dict[str, float]) -> Message | None:
    """Return the next message, if there is one, and add up the stages on the way to it.

    What whoever reads the messages does in between is no stage of this request.
    """
    with stages_into(stages):
        return next(messages, None)


class _OwnMask:
    """The mask that lies in the output folder, and what it is.

    Attributes:
        made: what the network would make it from now.
        usable: it can be taken as it is.
        corrected: it is one of ours that somebody changed.
        foreign: why it can be neither taken nor replaced; empty when it is not so.
    """

    def __init__(self, request: Request, made: MadeFrom) -> None:
        self.made = made
        self._digest = ""
        self.usable = self.corrected = False
        self.foreign = ""
        if request.masks is None or not _holds_something(request.mask_path):
            return
        self._digest = keys.of_file(request.mask_path)
        earlier = request.own_masks
        if self._digest in earlier:
            self.usable = earlier[self._digest].key == made.key
        elif any(made.scan and one.scan == made.scan for one in earlier.values()):
            self.usable = self.corrected = True
        else:
            fact = _whose(made, list(earlier.values()))
            self.foreign = (
                f"the output folder has a mask of it that {fact}; "
                "use it with `masks`, or choose another `out`"
            )

    @property
    def key_or_digest(self) -> str:
        """What a row depends on: a corrected mask's bytes, else what the mask is made from."""
        return self._digest if self.corrected or self.foreign else self.made.key


def _whose(made: MadeFrom, earlier: list[MadeFrom]) -> str:
    """Say why a mask that the network has not made as it is may not be taken."""
    if not earlier:
        return "comes from elsewhere"
    if not made.scan:
        return "was corrected, and the scan cannot be read"
    if not all(one.scan for one in earlier):
        return "was corrected under an earlier version of pancseg"
    return "was corrected on another scan than this"


def _holds_something(mask: Path) -> bool:
    """Return whether there is a mask that somebody could have drawn; an empty file is none."""
    return mask.exists() and (not mask.is_file() or mask.stat().st_size > 0)


def _acquisition(case: Case) -> dict[str, Value]:
    """Return what a DICOM scan says of its making; nothing where that cannot be read."""
    try:
        return acquisition_of(case.image, case.series_uid)
    except Exception:
        log.debug("%s: its tags", case.name, exc_info=True)
        return {}


def _raise(error: Exception, draft: DraftRow) -> None:
    if isinstance(error, MemoryError):
        raise UnusableCase("memory", NO_MEMORY) from error
    raise error
