"""A cohort's rows, each made once: what is known is taken, the rest is done by workers."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pancseg.case import Case, name_key
from pancseg.cohort import Outcome, Value
from pancseg.running.journal import Journal
from pancseg.running.local import Local
from pancseg.running.log import RunLog
from pancseg.running.memory import GB, WORKER_BYTES, Budget, free_bytes, needed_bytes
from pancseg.running.messages import Done, Keys, MaskMade, Message, OutputLost, Request, Row
from pancseg.running.options import Options
from pancseg.running.refusal import Refusal
from pancseg.threads import available_cores
from pancseg.work import Work

Report = Callable[[Outcome], None]


class Stopped(Exception):
    """A strict run met a row that is not usable; what is finished is kept."""


class Place(Protocol):
    """Where workers are.

    Attributes:
        about: what they make masks with, for the provenance; empty where they make none.
        budget: memory that they share, or that each has on a cluster; None: no limit is known.
    """

    about: dict[str, Any]
    budget: Budget | None

    def execute(self, requests: Iterator[Request]) -> Iterator[tuple[Request, Message]]:
        """Yield the messages of all requests."""
        ...

    def close(self) -> None:
        """Leave no worker behind."""
        ...


def place_for(work: Work, cases: Sequence[Case], options: Options) -> Place:
    """Start workers for a cohort where the options say.

    Raises:
        Refusal: the work cannot be done as it is asked for.
    """
    if options.elsewhere:
        from pancseg.running.cluster import Cluster

        return Cluster(work, options)
    workers = options.workers_for(len(_scans_of(cases)))
    threads = options.threads or available_cores()
    budget = Budget(options.memory_bytes or free_bytes())
    if not workers:
        from pancseg.running.inline import Inline  # what workers load, this process needs not

        return Inline(work, threads, budget)
    if options.memory_bytes:
        _refuse_idle_workers(workers, WORKER_BYTES[_engine_of(work)], options.memory_bytes)
    return Local(
        work,
        workers=workers,
        threads=threads,
        budget=budget,
        timeout_s=options.timeout_s,
        verbose=options.verbose,
    )


def _engine_of(work: Work) -> str:
    """Return the engine, without loading any, by which a worker's memory is told."""
    if not work.weights:
        return ""
    wanted = work.engine if work.engine in WORKER_BYTES else "torch"
    return "openvino" if work.engine == "auto" and find_spec("openvino") else wanted


def _refuse_idle_workers(workers: int, each_bytes: int, most_bytes: int) -> None:
    """Refuse more workers than there is memory for before any of them has a scan."""
    fitting = max(1, most_bytes // each_bytes)
    if workers > fitting:
        needed = workers * each_bytes
        raise Refusal(
            f"{workers} workers take {needed / GB:.1f} GB before they read a scan, and "
            f"--memory is {most_bytes / GB:.1f} GB; give --workers {fitting}, or more memory"
        )


class CohortRun:
    """One run over a cohort.

    Args:
        cases: the rows, in the order that the table will have.
        place: where the workers are.
        options: how.
        masks: folder for the network's masks; None where it makes none.
        journal: what earlier runs have made.
        log: gets a line per scan.
        report: called with each row as soon as it is there.

    Attributes:
        acquisition: by the key of its first row, what a DICOM scan says of its making.
    """

    def __init__(  # noqa: PLR0913  one argument per collaborator
        self,
        cases: Sequence[Case],
        place: Place,
        options: Options,
        masks: Path | None,
        journal: Journal,
        log: RunLog,
        report: Report,
    ) -> None:
        self._cases, self._place, self._options = cases, place, options
        self._masks, self._journal, self._log, self._report = masks, journal, log, report
        self._scans = _scans_of(cases)
        self._outcomes: dict[int, Outcome] = {}
        self._refused: list[tuple[str, list[Outcome]]] = []
        self._reused: Counter[str] = Counter()
        self.acquisition: dict[str, dict[str, Value]] = {}
        self._index = {case.key: i for i, case in enumerate(cases)}

    def outcomes(self) -> list[Outcome]:
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
            failed = not self._options.retry
            known = tuple(self._journal.known(case, failed=failed) for case in cases)
            budget, fact = self._place.budget, ""
            size = needed_bytes(cases, self._engine) if budget else 0
            if budget and not budget.fits(size):
                fact = (
                    f"the scan needs about {size / GB:.1f} GB, "
                    f"and {budget.total_bytes / GB:.1f} GB may be used; raise --memory"
                )
                if not any(known):
                    rows = [Outcome(case, "fail", "memory", fact) for case in cases]
                    self._refused.append((cases[0].scan_name, rows))
                    continue
                size = 0  # what is known is found by the files' bytes, in pieces
            yield Request(
                cases=cases,
                known=known,
                masks=self._masks,
                own_masks=dict(self._journal.own_masks(cases[0].scan_name)),
                memory_bytes=size,
                too_large=fact,
            )

    def _take(self, request: Request, message: Message) -> None:
        if isinstance(message, OutputLost):
            raise OSError(message.fact)
        if isinstance(message, MaskMade):
            self._journal.add_mask(request.name, message.digest, message.made)
            try:
                os.replace(request.new_mask_path, request.mask_path)
            except FileNotFoundError:  # made twice around a crash: the first note has renamed it
                if not request.mask_path.exists():
                    raise
        elif isinstance(message, Row):
            case = request.cases[message.place]
            if message.outcome is None:
                self._reused[request.name] += 1
                self._add(self._journal.row(message.key, case))
            else:
                self._add(self._journal.add_row(message.key, message.outcome))
        elif isinstance(message, Done):
            if message.acquisition:
                self.acquisition[request.cases[0].key] = message.acquisition
            rows = [self._outcomes[i] for i in self._scans[_scan_of(request.cases[0])]]
            self._log.scan(request.name, rows, self._reused[request.name], message)
        else:
            assert isinstance(message, Keys), message

    def _take_refused(self) -> None:
        while self._refused:
            name, rows = self._refused.pop(0)
            for row in rows:
                self._add(self._journal.add_row("", row))
            self._log.scan(name, rows, 0, Done())

    def _add(self, outcome: Outcome) -> None:
        self._outcomes[self._index[outcome.case.key]] = outcome
        self._report(outcome)
        if self._options.strict and not outcome.usable:
            self._log.scan(outcome.case.scan_name, [outcome], 0, Done())
            raise Stopped


def _scan_of(case: Case) -> tuple[Path, str | None, str]:
    return case.image, case.series_uid, name_key(case.scan_name)


def _scans_of(cases: Sequence[Case]) -> dict[tuple[Path, str | None, str], list[int]]:
    """Return the places of each scan's rows, in the order in which scans come first."""
    found: defaultdict[tuple[Path, str | None, str], list[int]] = defaultdict(list)
    for index, case in enumerate(cases):
        found[_scan_of(case)].append(index)
    return dict(found)
