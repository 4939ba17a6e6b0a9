"""Run a cohort: reuse the rows that are unchanged, and let workers make the others."""

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
        cases: the cohort, in the order of the table.
        executor: runs the workers.
        options: how the cohort is run.
        masks: folder for the network's masks; None if the network makes none.
        journal: rows and masks of earlier runs, to which those of this run are added. None reuses
            and records nothing, and holds the rows in memory.
        log: gets a line per scan; None for no log.
        report: called with each result as soon as it is available.

    Attributes:
        acquisition: key of a scan's first case → acquisition of the DICOM scan.
    """

    def __init__(  # noqa: PLR0913  one argument per collaborator
        self,
        cases: Sequence[Case],
        executor: Executor,
        options: RunOptions,
        masks: Path | None,
        journal: Journal | None,
        log: RunLog | None,
        report: Report,
    ) -> None:
        self._cases, self._executor, self._options = cases, executor, options
        self._masks, self._journal, self._log, self._report = masks, journal, log, report
        self._scans = rows_by_scan(cases)
        self._results: dict[int, CaseResult] = {}
        self._refused: list[tuple[str, list[CaseResult]]] = []
        self._reused: Counter[str] = Counter()
        self.acquisition: dict[str, dict[str, Value]] = {}
        self._index = {case.key: i for i, case in enumerate(cases)}

    def results(self) -> list[CaseResult]:
        """Run the cohort and return one result per case, in order, even if workers crash.

        Raises:
            OSError: the output cannot be written.
            RunStopped: a strict run met a row that is not usable.
        """
        for request, message in self._executor.execute(self._requests()):
            self._take(request, message)
            self._take_refused()
        self._take_refused()
        return [self._results[i] for i in range(len(self._cases))]

    @property
    def _engine(self) -> str:
        network_info = self._executor.network_info
        return str(network_info["inference"]["engine"]) if network_info else ""

    def _requests(self) -> Iterator[Request]:
        """Yield one request per scan; scans that do not fit into memory are refused instead."""
        for indices in self._scans.values():
            cases = tuple(self._cases[i] for i in indices)
            known = tuple(map(self._known, cases))
            budget, fact = self._executor.budget, ""
            size = needed_bytes(cases, self._engine) if budget else 0
            if budget and not budget.fits(size):
                fact = (
                    f"the scan needs about {size / GB:.1f} GB of memory, but only "
                    f"{budget.total_bytes / GB:.1f} GB may be used; raise `memory_bytes`"
                )
                if not any(known):
                    rows = [
                        CaseResult.of_one_reason(case, "fail", "memory", fact) for case in cases
                    ]
                    self._refused.append((cases[0].scan_name, rows))
                    continue
                size = 0  # unchanged rows are found by hashing files in pieces, which needs none
            yield Request(
                cases=cases,
                known=known,
                masks=self._masks,
                earlier_masks=self._earlier_masks(cases[0].scan_name),
                memory_bytes=size,
                too_large=fact,
            )

    def _take(self, request: Request, message: Message) -> None:
        if isinstance(message, OutputLost):
            raise OSError(message.fact)
        if isinstance(message, MaskMade):
            assert self._journal is not None  # a run that makes masks has a journal
            self._journal.add_mask(request.name, message.digest, message.made)
            try:
                os.replace(request.new_mask_path, request.mask_path)
            except FileNotFoundError:  # made twice because of a crash, and renamed already
                if not request.mask_path.exists():
                    raise
        elif isinstance(message, RowDone):
            case = request.cases[message.position]
            if message.result is None:
                assert self._journal is not None  # it is where the row is known from
                self._reused[request.name] += 1
                self._add(self._journal.row(message.key, case))
            else:
                self._add(self._recorded(message.key, message.result))
        elif isinstance(message, ScanDone):
            if message.acquisition:
                self.acquisition[request.cases[0].key] = message.acquisition
            rows = [self._results[i] for i in self._scans[scan_of(request.cases[0])]]
            self._log_scan(request.name, rows, message, self._reused[request.name])
        else:
            assert isinstance(message, RowKeys), message

    def _take_refused(self) -> None:
        while self._refused:
            name, rows = self._refused.pop(0)
            for row in rows:
                self._add(self._recorded("", row))
            self._log_scan(name, rows, ScanDone())

    def _add(self, result: CaseResult) -> None:
        self._results[self._index[result.case.key]] = result
        self._report(result)
        if self._options.strict and not result.usable:
            self._log_scan(result.case.scan_name, [result], ScanDone())
            raise RunStopped

    def _known(self, case: Case) -> frozenset[str]:
        """Return the keys of a case's earlier results that may be reused."""
        if self._journal is None:
            return frozenset()
        return self._journal.known(case, failed=not self._options.retry)

    def _earlier_masks(self, scan_name: str) -> dict[str, MadeFrom]:
        return {} if self._journal is None else dict(self._journal.earlier_masks(scan_name))

    def _recorded(self, key: str, result: CaseResult) -> CaseResult:
        return result if self._journal is None else self._journal.add_row(key, result)

    def _log_scan(self, name: str, rows: list[CaseResult], done: ScanDone, reused: int = 0) -> None:
        if self._log is not None:
            self._log.scan(name, rows, reused, done)
