"""Run a cohort: reuse the rows that are unchanged, and let workers make the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pancseg.cohort.case import Case, name_key
from pancseg.errors import RunStopped
from pancseg.features.settings import FeatureSettings
from pancseg.processing.evidence import Status
from pancseg.processing.picture_names import Mark
from pancseg.processing.row import CaseResult
from pancseg.reasons import ReasonCode
from pancseg.running import keys
from pancseg.running.drawn import corrected_given, scans_drawn_on
from pancseg.running.executors.place import Executor, rows_by_scan, scan_of
from pancseg.running.journal import Journal
from pancseg.running.mask_files import named_like
from pancseg.running.memory import GB, needed_memory
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
from pancseg.running.progress import ProgressTracker, Watch
from pancseg.running.run_log import RunLog
from pancseg.system.stage import Stage
from pancseg.system.whole_files import move_to_free_name
from pancseg.tables.fields import Value

Report = Callable[[CaseResult], None]
_MASK_KEPT: tuple[Status, ReasonCode, str] = (
    "fail",
    "mask_exists",
    "a mask of this scan was saved in the output folder while the network made another; the saved "
    "one was kept: run again to measure it",
)


class CohortRun:
    """One run over a cohort.

    Args:
        cases: the cohort, in the order of the table.
        executor: runs the workers.
        options: how the cohort is run.
        masks: folder for the network's masks; None if the network makes none.
        pictures: folder for the rows' pictures; None for none.
        journal: rows and masks of earlier runs, to which those of this run are added. None reuses
            and records nothing, and holds the rows in memory.
        log: gets a line per scan; None for no log.
        report: called with each result as soon as it is available.
        watch: called with the progress whenever it changes.
        settings: of the features, for an estimate of memory; None if none are computed.
        manner: gives the key of how a case's row is made, for the journal.
        left_alone: the other cases of the cohort, whose files in ``masks`` are theirs.

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
        watch: Watch,
        settings: FeatureSettings | None = None,
        pictures: Path | None = None,
        manner: Callable[[Case], str] = lambda _: "",
        left_alone: Sequence[Case] = (),
    ) -> None:
        self._settings = settings
        self._cases, self._executor, self._options = cases, executor, options
        self._masks, self._journal, self._log, self._report = masks, journal, log, report
        self._pictures, self._manner = pictures, manner
        self._scans = rows_by_scan(cases)
        self._names = {name_key(case.scan_name) for case in (*cases, *left_alone)}
        self._results: dict[int, CaseResult] = {}
        self._refused: list[tuple[str, list[CaseResult]]] = []
        self._reused: Counter[str] = Counter()
        self._drawn = scans_drawn_on(journal.folder) if journal else {}
        self._corrected = corrected_given(journal.folder) if journal else {}
        self._kept: set[str] = set()
        """Keys of cases whose mask somebody saved while the network made another."""
        self.acquisition: dict[str, dict[str, Value]] = {}
        self._index = {case.key: i for i, case in enumerate(cases)}
        self._progress = ProgressTracker(self._earlier(), lambda: executor.at_once, log, watch)

    def results(self) -> list[CaseResult]:
        """Run the cohort and return one result per case, in order, even if workers crash.

        Raises:
            OSError: the output cannot be written.
            RunStopped: a strict run met a row that is not usable.
        """
        for request, message in self._executor.execute(self._requests(), self._reach):
            self._take(request, message)
            self._take_refused()
        self._take_refused()
        return [self._results[i] for i in range(len(self._cases))]

    @property
    def _engine(self) -> str:
        network_info = self._executor.network_info
        return str(network_info["inference"]["engine"]) if network_info else ""

    @property
    def _looks(self) -> int:
        network_info = self._executor.network_info
        return int(network_info["inference"]["looks"]) if network_info else 1

    def _requests(self) -> Iterator[Request]:
        """Yield one request per scan; scans that do not fit into memory are refused instead."""
        for indices in self._scans.values():
            cases = tuple(self._cases[i] for i in indices)
            known = tuple(map(self._known, cases))
            budget, fact = self._executor.budget, ""
            size, features = needed_memory(cases, self._engine, self._settings, self._looks)
            left = budget.total_bytes - size if budget else None
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
                size = left = 0  # unchanged rows are found by hashing files in pieces
            yield Request(
                cases=cases,
                known=known,
                masks=self._masks,
                earlier_masks=self._earlier_masks(cases[0].scan_name),
                memory_bytes=size + min(features, left or 0),
                features_bytes=left,
                too_large=fact,
                limit_s=self._options.timeout_s,
                most_bytes=budget.total_bytes if budget else 0,
                pictures=self._pictures,
                marks=self._marks(cases),
                drawn_on=self._drawn.get(cases[0].scan_name, frozenset()),
                corrected={
                    case.key: self._corrected[case.key]
                    for case in cases
                    if case.key in self._corrected
                },
                other_scans=named_like(cases[0].scan_name, self._names),
            )

    def _earlier(self) -> dict[str, bool]:
        """Return scan's name → whether an earlier run has all its rows, which may be unchanged."""
        scans = ([self._cases[i] for i in indices] for indices in self._scans.values())
        return {cases[0].scan_name: all(map(self._known, cases)) for cases in scans}

    def _reach(self, request: Request, stage: Stage) -> None:
        self._progress.reach(request.name, stage)

    def _take(self, request: Request, message: Message) -> None:
        if isinstance(message, OutputLost):
            raise OSError(message.fact)
        if isinstance(message, MaskMade):
            assert self._journal is not None  # a run that makes masks has a journal
            self._journal.add_mask(request.name, message.digest, message.made)
            if not _takes_its_name(request, message.digest):
                self._kept.update(request.cases[i].key for i in message.positions)
        elif isinstance(message, RowDone):
            case = request.cases[message.position]
            if case.key in self._kept:
                self._add(self._recorded("", CaseResult.of_one_reason(case, *_MASK_KEPT)))
            elif message.result is None:
                assert self._journal is not None  # it is where the row is known from
                self._reused[request.name] += 1
                self._add(
                    self._journal.still_holds(
                        message.key, case, manner=self._manner(case), mask=message.mask
                    )
                )
            else:
                self._add(self._recorded(message.key, message.result, message.mask))
        elif isinstance(message, ScanDone):
            if message.acquisition:
                self.acquisition[request.cases[0].key] = message.acquisition
            if self._journal is not None:
                self._journal.note_acquisition(name_key(request.name), message.acquisition)
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

    def _marks(self, cases: Sequence[Case]) -> tuple[dict[str, Mark], ...]:
        """Return what the pictures of each case's earlier results show."""
        if self._journal is None or self._pictures is None:
            return ()
        return tuple(map(self._journal.marks, cases))

    def _earlier_masks(self, scan_name: str) -> dict[str, MadeFrom]:
        return {} if self._journal is None else dict(self._journal.earlier_masks(scan_name))

    def _recorded(self, key: str, result: CaseResult, mask: str | None = None) -> CaseResult:
        if self._journal is None:
            return result
        return self._journal.add_row(key, result, manner=self._manner(result.case), mask=mask)

    def _log_scan(self, name: str, rows: list[CaseResult], done: ScanDone, reused: int = 0) -> None:
        made = done.seconds > 0 and reused < len(rows)
        progress = self._progress.end(name, done.seconds if made else None)
        if self._log is not None:
            self._log.scan(name, rows, reused, done, progress)


def _takes_its_name(request: Request, digest: str) -> bool:
    """Give a new mask its final name; return False where somebody's mask has that name by now."""
    new, path = request.new_mask_path, request.mask_path
    try:
        move_to_free_name(new, path)
    except (FileExistsError, FileNotFoundError):
        if not path.exists():
            raise
        new.unlink(missing_ok=True)
        return keys.of_file(path) == digest  # made twice because of a crash, and named already
    return True
