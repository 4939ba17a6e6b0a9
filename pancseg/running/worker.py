"""Answer the requests of a run: find a scan's unchanged rows, reuse its mask, make the rest."""

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
"""``qc_mask_source`` of a mask that the network made and a user corrected."""


class Worker:
    """Answers requests one after another with a network that is loaded once."""

    def __init__(self, plan: ProcessingPlan) -> None:
        """Check the settings and load the network.

        Raises:
            FileNotFoundError, ValueError: the weights or the engine are not available; ValueError
                also if the settings do not suit their mode.
        """
        if plan.settings:
            check_feature_settings(plan.settings)
        self._processor = ScanProcessor(plan)
        self._plan = plan
        segmenter = self._processor.segmenter
        self._network = (
            (segmenter.checkpoint.sha256, segmenter.engine, segmenter.precision)
            if segmenter
            else None
        )

    @property
    def network_info(self) -> dict[str, Any]:
        """The weights and the engine, for the provenance; empty without a network."""
        segmenter = self._processor.segmenter
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
        """Process a request and yield its messages; the last is ``ScanDone`` or ``OutputLost``.

        The keys come first, then each new mask before the rows that are measured on it.
        """
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
        """Yield a message for every row; an unexpected error becomes the result of the rows left.

        If the output cannot be written, ``OutputLost`` is the last message.
        """
        left = dict(enumerate(request.cases))
        try:
            for message in self._rows(request):
                if isinstance(message, RowDone):
                    del left[message.position]
                yield message
        except OutputError as error:
            yield OutputLost(error.strerror or str(error))
        except Exception as error:  # noqa: BLE001  reported like an error within a row
            for index, case in left.items():
                yield RowDone(index, "", case_result(case, partial(_raise, error)))

    def _rows(self, request: Request) -> Iterator[Message]:
        image = keys.of_files(request.cases[0].image)
        series = request.cases[0].series_uid or ""
        made = MadeFrom(keys.of_mask(image, series, self._network), keys.of_scan(image, series))
        mask = _ExistingMask(request, made if image else MadeFrom("", ""))
        row_keys = tuple(self._key(case, image, mask) for case in request.cases)
        yield RowKeys(row_keys)
        unchanged = [key in known for key, known in zip(row_keys, request.known, strict=True)]
        shared = [self._processor.takes_shared(case) for case in request.cases]
        if not mask.usable:  # the mask that these rows were measured on is gone
            unchanged = [u and not s for u, s in zip(unchanged, shared, strict=True)]
        for index in (i for i, same in enumerate(unchanged) if same):
            yield RowDone(index, row_keys[index], None)
        left = [i for i, same in enumerate(unchanged) if not same]
        if request.too_large:
            for index in left:
                case = request.cases[index]
                yield RowDone(
                    index, "", CaseResult.of_one_reason(case, "fail", "memory", request.too_large)
                )
            return
        if mask.foreign:
            for index in (i for i in left if shared[i]):
                case = request.cases[index]
                result = CaseResult.of_one_reason(case, "fail", "mask_exists", mask.foreign)
                yield RowDone(index, row_keys[index], result)
            left = [i for i in left if not shared[i]]
        if left:
            yield from self._made(request, left, row_keys, mask)

    def _made(
        self, request: Request, left: list[int], row_keys: tuple[str, ...], mask: _ExistingMask
    ) -> Iterator[Message]:
        """Make the rows that are left; yield a new mask before the first row."""
        made: list[MaskMade] = []

        def on_mask(path: Path) -> None:
            made.append(MaskMade(keys.of_file(path), mask.made))

        cases = tuple(request.cases[i] for i in left)
        results = self._processor.results(self._task(request, cases, mask), on_mask)
        for index, result in zip(left, results, strict=True):
            yield from made
            made.clear()
            yield RowDone(index, row_keys[index], result)

    def _task(self, request: Request, cases: tuple[Case, ...], mask: _ExistingMask) -> ScanTask:
        if not any(map(self._processor.takes_shared, cases)) or request.masks is None:
            return ScanTask(cases)
        if mask.usable:
            source = CORRECTED if mask.corrected else self._source
            return ScanTask(cases, ready_mask=request.mask_path, ready_source=source)
        if mask.made.scan:  # otherwise the scan cannot be read now, and its mask may still fit it
            try:
                request.mask_path.unlink(missing_ok=True)  # made from something else
            except OSError as error:
                raise OutputError(error.errno, error.strerror) from error
        return ScanTask(cases, new_mask=request.new_mask_path)

    @property
    def _source(self) -> str:
        assert self._processor.segmenter is not None
        return self._processor.segmenter.checkpoint.name

    def _key(self, case: Case, image: str, mask: _ExistingMask) -> str:
        """Return the key of a row; empty if something that it is made from cannot be read."""
        plan = self._plan
        shared = self._processor.takes_shared(case)
        drawn = keys.of_files(case.mask) if case.mask and not shared else ""
        if not image or (case.mask and not shared and not drawn):
            return ""
        limits = keys.of_row(plan.limits.model_dump(mode="json"))
        settings = fingerprint.of_settings(plan.settings) if plan.settings else limits
        made_from = mask.key_or_digest if shared else drawn
        how = [plan.command, settings, plan.keep_failed, plan.uncertainty]
        what = [str(case.mask_label or ""), case.roi == DEFAULT_ROI, case.series_uid or "", shared]
        return keys.of_row(image, made_from, what, how)


def _next_of(messages: Iterator[Message], stages: dict[str, float]) -> Message | None:
    """Return the next message, or None at the end, and add up the stages that lead to it.

    Stages of the code that consumes the messages are not counted.
    """
    with stages_into(stages):
        return next(messages, None)


class _ExistingMask:
    """The mask of a scan that is already in the output folder, if there is one.

    Attributes:
        made: what the network would make the mask from now.
        usable: the mask can be used unchanged.
        corrected: the network made the mask, and a user corrected it.
        foreign: why the mask can be neither used nor replaced; empty if it can.
    """

    def __init__(self, request: Request, made: MadeFrom) -> None:
        self.made = made
        self._digest = ""
        self.usable = self.corrected = False
        self.foreign = ""
        if request.masks is None or not _holds_something(request.mask_path):
            return
        self._digest = keys.of_file(request.mask_path)
        earlier = request.earlier_masks
        if self._digest in earlier:
            self.usable = earlier[self._digest].key == made.key
        elif any(made.scan and one.scan == made.scan for one in earlier.values()):
            self.usable = self.corrected = True
        else:
            origin = _origin_of(made, list(earlier.values()))
            self.foreign = (
                f"the output folder has a mask of this scan that {origin}; "
                "give it by `masks`, or choose another `out`"
            )

    @property
    def key_or_digest(self) -> str:
        """What a row depends on: a corrected mask's bytes, or else what the mask is made from."""
        return self._digest if self.corrected or self.foreign else self.made.key


def _origin_of(made: MadeFrom, earlier: list[MadeFrom]) -> str:
    """Return where a mask comes from that the network has not made in its present form."""
    if not earlier:
        return "pancseg did not make"
    if not made.scan:
        return "was corrected, and the scan cannot be read"
    if not all(one.scan for one in earlier):
        return "was corrected under an earlier version of pancseg"
    return "was corrected on another scan"


def _holds_something(mask: Path) -> bool:
    """Return whether there is a mask that somebody could have drawn; an empty file is not one."""
    return mask.exists() and (not mask.is_file() or mask.stat().st_size > 0)


def _acquisition(case: Case) -> dict[str, Value]:
    """Return the acquisition of a DICOM scan; empty if it cannot be read."""
    try:
        return acquisition_of(case.image, case.series_uid)
    except Exception:
        log.debug("%s: DICOM tags", case.name, exc_info=True)
        return {}


def _raise(error: Exception, draft: DraftRow) -> None:
    if isinstance(error, MemoryError):
        raise UnusableCase("memory", NO_MEMORY) from error
    raise error
