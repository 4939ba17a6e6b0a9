"""Answer the requests of a run: find a scan's unchanged rows, reuse its mask, make the rest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pancseg.cohort.case import DEFAULT_ROI, Case
from pancseg.errors import OutputError, UnusableCase
from pancseg.features.check import check_feature_settings
from pancseg.pictures.row_pictures import PICTURE
from pancseg.processing import fingerprint
from pancseg.processing.acquisition import acquisition_of
from pancseg.processing.picture_names import Mark, picture_stem, shows
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult, DraftRow, case_result
from pancseg.processing.row_filler import NO_MEMORY
from pancseg.processing.scan import ScanProcessor
from pancseg.processing.scan_task import ScanTask
from pancseg.running import keys
from pancseg.running.existing_mask import ExistingMask
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
from pancseg.system.processes.memory_limit import is_out_of_memory
from pancseg.system.stage import Listener, Stage, begin_stage, heard_by
from pancseg.system.timing import stages_into
from pancseg.tables.fields import Value

log = logging.getLogger(__name__)


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
            (
                segmenter.checkpoint.made_of(segmenter.precision),
                segmenter.engine,
                segmenter.precision,
                segmenter.looks,
            )
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
        second = checkpoint.second if segmenter.looks > 1 else None
        made_of = checkpoint.made_of(segmenter.precision)
        plain = {} if made_of == checkpoint.sha256 else {keys.WITHOUT_RANGES: made_of}
        again: dict[str, Any] = {}
        if second is not None and second.windows is not None:
            windows = second.windows.model_dump(mode="json")
            again = {"second_look": {"network": second.network, **windows}}
        return {
            "weights": {
                **checkpoint.provenance,  # first, so that a file cannot forge the rest
                "name": checkpoint.name,
                "network": checkpoint.network,
                "sha256": checkpoint.sha256,
                **plain,
                "preprocessing": checkpoint.preprocessing.model_dump(mode="json"),
                **again,
            },
            "inference": {
                "engine": segmenter.engine,
                "precision": segmenter.precision,
                "looks": segmenter.looks,
            },
        }

    def messages(
        self, request: Request, on_stage: Callable[[Stage], None] | None = None
    ) -> Iterator[Message]:
        """Process a request and yield its messages; the last is ``ScanDone`` or ``OutputLost``.

        The keys come first, then each new mask before the rows that are measured on it.

        Args:
            request: the rows of one scan.
            on_stage: called meanwhile with each stage that is reached (``pancseg.system.stage``).
        """
        start, peak = time.perf_counter(), PeakMemory()
        stages: dict[str, float] = {}
        rows, listener = self._all_rows(request), Listener(on_stage) if on_stage else None
        while (message := _next_of(rows, stages, listener)) is not None:
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
        begin_stage("read")
        image = keys.of_files(request.cases[0].image, request.cases[0].series_uid)
        series = request.cases[0].series_uid or ""
        made = MadeFrom(keys.of_mask(image, series, self._network), keys.of_scan(image, series))
        mask = ExistingMask(request, made if image else MadeFrom("", ""))
        digests = tuple(self._mask_digest(case, mask) for case in request.cases)
        found = zip(request.cases, digests, strict=True)
        row_keys = tuple(self._key(case, image, mask, digest) for case, digest in found)
        yield RowKeys(row_keys)
        unchanged = [key in known for key, known in zip(row_keys, request.known, strict=True)]
        shared = [self._processor.takes_shared(case) for case in request.cases]
        if not mask.usable:  # the mask that these rows were measured on is gone
            unchanged = [u and not s for u, s in zip(unchanged, shared, strict=True)]
        for index in (i for i, same in enumerate(unchanged) if same):
            yield RowDone(index, row_keys[index], None, digests[index])
        self._draw_missing(request, [i for i, same in enumerate(unchanged) if same], row_keys, mask)
        left = [i for i, same in enumerate(unchanged) if not same]
        if request.too_large:
            for index in left:
                case = request.cases[index]
                yield RowDone(
                    index, "", CaseResult.of_one_reason(case, "fail", "memory", request.too_large)
                )
            return
        if mask.foreign:
            kept = {
                i: CaseResult.of_one_reason(request.cases[i], "fail", "mask_exists", mask.foreign)
                for i in left
                if shared[i]
            }
            if kept and request.pictures:
                self._processor.draw_scan(list(kept.values()), request.pictures)
            for index, result in kept.items():
                yield RowDone(index, row_keys[index], result, digests[index])
            left = [i for i in left if not shared[i]]
        if left:
            yield from self._made(request, left, row_keys, mask, digests)

    def _draw_missing(
        self, request: Request, same: list[int], row_keys: tuple[str, ...], mask: ExistingMask
    ) -> None:
        """Make the pictures of unchanged rows that have none, or those of an earlier mask."""
        if request.pictures is None or request.too_large:
            return
        missing: dict[int, Mark] = {}
        for index in same:
            case, mark = request.cases[index], request.marks[index][row_keys[index]]
            stem = picture_stem(case.scan_name, case.roi)
            if stem and not shows(request.pictures / f"{stem}{PICTURE}", mark.text):
                missing[index] = mark
        if missing:
            cases = tuple(request.cases[index] for index in missing)
            self._processor.draw(self._task(request, cases, mask), list(missing.values()))

    def _made(
        self,
        request: Request,
        left: list[int],
        row_keys: tuple[str, ...],
        mask: ExistingMask,
        digests: tuple[str, ...],
    ) -> Iterator[Message]:
        """Make the rows that are left; yield a new mask before the first row."""
        made: list[MaskMade] = []

        def on_mask(path: Path, looks_dice: float | None) -> None:
            made_from = mask.made._replace(looks_dice=looks_dice)
            made.append(MaskMade(keys.of_file(path), made_from, on_it))

        on_it = tuple(i for i in left if self._processor.takes_shared(request.cases[i]))
        cases = tuple(request.cases[i] for i in left)
        corrected = (
            request.cases[i].key
            for i in left
            if digests[i] in request.corrected.get(request.cases[i].key, ())
        )
        task = replace(self._task(request, cases, mask), corrected=frozenset(corrected))
        results = self._processor.results(task, on_mask)
        new = ""
        for index, result in zip(left, results, strict=True):
            for message in made:
                new = message.digest
                yield message
            made.clear()
            digest = new if new and index in on_it else digests[index]
            yield RowDone(index, row_keys[index], result, digest)

    def _task(self, request: Request, cases: tuple[Case, ...], mask: ExistingMask) -> ScanTask:
        task = ScanTask(cases, features_bytes=request.features_bytes, pictures=request.pictures)
        if not any(map(self._processor.takes_shared, cases)) or request.masks is None:
            return task
        if mask.usable:
            source = mask.by_person or self._source
            return replace(
                task,
                ready_mask=mask.path,
                ready_source=source,
                ready_looks_dice=mask.looks_dice,
            )
        if mask.made.scan:  # otherwise the scan cannot be read now, and its mask may still fit it
            mask.remove()
        return replace(task, new_mask=request.new_mask_path)

    @property
    def _source(self) -> str:
        assert self._processor.segmenter is not None
        return self._processor.segmenter.checkpoint.name

    def _mask_digest(self, case: Case, mask: ExistingMask) -> str:
        """Return the hash of the mask's file that a row is made on; empty if it has none yet."""
        if not self._processor.takes_shared(case):
            return keys.of_given_mask(case.mask) if case.mask else ""
        stays = mask.usable or mask.foreign or not mask.made.scan
        return mask.digest if stays else ""

    def _key(self, case: Case, image: str, mask: ExistingMask, digest: str) -> str:
        """Return the key of a row; empty if something that it is made from cannot be read."""
        plan = self._plan
        shared = self._processor.takes_shared(case)
        drawn = "" if shared else digest
        if not image or (case.mask and not shared and not drawn):
            return ""
        settings = fingerprint.of_settings(plan.settings) if plan.settings else ""
        limits = plan.judging.limits  # all others grade what was measured, and change none of it
        tissue_hu = [limits.fat_below_hu, limits.dense_above_hu]
        made_from = mask.key_or_digest if shared else drawn
        how = [plan.command, settings, tissue_hu, plan.uncertainty]
        if plan.keep_truncated_shape and (mask.by_person or not shared):
            how.append("keep_truncated_shape")
        what = [str(case.mask_label or ""), case.roi == DEFAULT_ROI, case.series_uid or "", shared]
        return keys.of_row(image, made_from, what, how)


def _next_of(
    messages: Iterator[Message], stages: dict[str, float], listener: Listener | None
) -> Message | None:
    """Return the next message, or None at the end, and add up the stages that lead to it.

    Stages of the code that consumes the messages are neither counted nor told.
    """
    with stages_into(stages), heard_by(listener):
        return next(messages, None)


def _acquisition(case: Case) -> dict[str, Value]:
    """Return the acquisition of a DICOM scan; empty if it cannot be read."""
    try:
        return acquisition_of(case.image, case.series_uid)
    except Exception:
        log.debug("%s: DICOM tags", case.name, exc_info=True)
        return {}


def _raise(error: Exception, draft: DraftRow) -> None:
    if is_out_of_memory(error):
        raise UnusableCase("memory", NO_MEMORY) from error
    raise error
