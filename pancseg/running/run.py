"""A cohort's rows, each made once: what is known is taken, the rest is done by workers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pancseg.cohort.case import Case
from pancseg.errors import RunStopped
from pancseg.processing.row import CaseResult
from pancseg.running.executors.place import Executor, rows_by_scan, scan_of
from pancseg.running.journal import Journal
from pancseg.running.memory import GB, needed_bytes
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
from pancseg.running.options import RunOptions
from pancseg.running.run_log import RunLog
from pancseg.tables.fields import Value

Report = Callable[[CaseResult], None]


class CohortRun:
    """One run over a cohort.

    Args:
        cases: the rows, in the order that the table will have.
        place: where the workers are.
        options: how.
        masks: folder for the network's masks; None where it makes none.
        journal: what earlier runs have made; None: nothing is known and nothing is noted, and rows
            are held in memory.
        log: gets a line per scan; None: there is no log.
        report: called with each row as soon as it is there.

    Attributes:
        acquisition: by the key of its first row, what a DICOM scan says of its making.
    """

    def __init__(  # noqa: PLR0913  one argument per collaborator
        self,
        cases: Sequence[Case],
        place: Executor,
        options: RunOptions,
        masks: Path | None,
        journal: Journal | None,
        log: RunLog | None,
        report: Report,
    ) -> None:
        self._cases, self._place, self._options = cases, place, options
        self._masks, self._journal, self._log, self._report = masks, journal, log, report
        self._scans = rows_by_scan(cases)
        self._outcomes: dict[int, CaseResult] = {}
        self._refused: list[tuple[str, list[CaseResult]]] = []
        self._reused: Counter[str] = Counter()
        self.acquisition: dict[str, dict[str, Value]] = {}
        self._index = {case.key: i for i, case in enumerate(cases)}

    def outcomes(self) -> list[CaseResult]:
        """Return one outcome per case, in their order, whatever happens to a worker.

        Raises:
            OSError: the output cannot be written.
            Stopped: a strict run met a row that is not usable.
        """
        for request, message in self._place.execute(self._requests()):
            self._take(request, message)
            self._take_refused()
        self._take_refused()
        return [self._outcomes[i] for i in range(len(self._cases))]

    @property
    def _engine(self) -> str:
        about = self._place.about
        return str(about["inference"]["engine"]) if about else ""

    def _requests(self) -> Iterator[Request]:
        """Yield a request per scan that can be done; note those that do not fit into memory."""
        for indices in self._scans.values():
            cases = tuple(self._cases[i] for i in indices)
            known = tuple(map(self._known, cases))
            budget, fact = self._place.budget, ""
            size = needed_bytes(cases, self._engine) if budget else 0
            if budget and not budget.fits(size):
                fact = (
                    f"the scan needs about {size / GB:.1f} GB, "
                    f"and {budget.total_bytes / GB:.1f} GB may be used; raise `memory_bytes`"
                )
                if not any(known):
                    rows = [CaseResult(case, "fail", "memory", fact) for case in cases]
                    self._refused.append((cases[0].scan_name, rows))
                    continue
                size = 0  # what is known is found by the files' bytes, in pieces
            yield Request(
                cases=cases,
                known=known,
                masks=self._masks,
                own_masks=self._own_masks(cases[0].scan_name),
                memory_bytes=size,
                too_large=fact,
            )

    def _take(self, request: Request, message: Message) -> None:
        if isinstance(message, OutputLost):
            raise OSError(message.fact)
        if isinstance(message, MaskMade):
            assert self._journal is not None  # a run that makes masks has one
            self._journal.add_mask(request.name, message.digest, message.made)
            try:
                os.replace(request.new_mask_path, request.mask_path)
            except FileNotFoundError:  # made twice around a crash: the first note has renamed it
                if not request.mask_path.exists():
                    raise
        elif isinstance(message, RowDone):
            case = request.cases[message.place]
            if message.outcome is None:
                assert self._journal is not None  # the row is known from there
                self._reused[request.name] += 1
                self._add(self._journal.row(message.key, case))
            else:
                self._add(self._noted(message.key, message.outcome))
        elif isinstance(message, ScanDone):
            if message.acquisition:
                self.acquisition[request.cases[0].key] = message.acquisition
            rows = [self._outcomes[i] for i in self._scans[scan_of(request.cases[0])]]
            self._log_scan(request.name, rows, message, self._reused[request.name])
        else:
            assert isinstance(message, RowKeys), message

    def _take_refused(self) -> None:
        while self._refused:
            name, rows = self._refused.pop(0)
            for row in rows:
                self._add(self._noted("", row))
            self._log_scan(name, rows, ScanDone())

    def _add(self, outcome: CaseResult) -> None:
        self._outcomes[self._index[outcome.case.key]] = outcome
        self._report(outcome)
        if self._options.strict and not outcome.usable:
            self._log_scan(outcome.case.scan_name, [outcome], ScanDone())
            raise RunStopped

    def _known(self, case: Case) -> frozenset[str]:
        """Return the keys of the results of a row that are there and may be used again."""
        if self._journal is None:
            return frozenset()
        return self._journal.known(case, failed=not self._options.retry)

    def _own_masks(self, scan_name: str) -> dict[str, MadeFrom]:
        return {} if self._journal is None else dict(self._journal.own_masks(scan_name))

    def _noted(self, key: str, outcome: CaseResult) -> CaseResult:
        return outcome if self._journal is None else self._journal.add_row(key, outcome)

    def _log_scan(self, name: str, rows: list[CaseResult], done: ScanDone, reused: int = 0) -> None:
        if self._log is not None:
            self._log.scan(name, rows, reused, done)
