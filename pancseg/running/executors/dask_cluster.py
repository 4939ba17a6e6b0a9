"""Workers on a Dask cluster (extra ``cluster``): the same rows as at home, bytes included.

Each thread of a Dask worker keeps one child process, so that a crash costs a scan there as well as
here. Scans, masks and output must lie at the same paths on all machines.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from pancseg.cohort.case import Case
from pancseg.errors import RunRefused
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.running.executors.slurm import slurm_cluster
from pancseg.running.executors.supervisor import SupervisedWorker
from pancseg.running.memory import MemoryBudget
from pancseg.running.messages import Message, Ready, Refused, Request, RowDone, ScanDone
from pancseg.running.options import RunOptions
from pancseg.system.version import __version__

AHEAD = 3
"""Scans that wait at a worker's thread for their turn."""
LEAST_IN_FLIGHT = 16
CONNECT_S = 10
NO_WORKER_S = 300
"""So long a Dask cluster may be without any worker before the run gives up."""
_LOOK_S = 2
_LOST = "the Dask scheduler was lost; the same command goes on from what is finished"
_LOGGERS = ("distributed", "dask_jobqueue", "tornado", "asyncio")


class Hello(NamedTuple):
    """What a Dask worker must know to begin.

    Attributes:
        run: tells runs apart.
        child: arguments of the child process (``SupervisedWorker``).
    """

    run: str
    child: tuple[ProcessingPlan, int, float | None, bool]


class Answer(NamedTuple):
    """What a Dask worker says of a request.

    Attributes:
        version: its pancseg's.
        about: what its child makes masks with; empty where it makes none, or could not begin.
        messages: of the request, or one ``Refused``.
    """

    version: str
    about: dict[str, Any]
    messages: list[Message]


class ClusterExecutor:
    """The workers of a Dask scheduler, or of SLURM jobs that are started for this run.

    Raises:
        Refusal: no scheduler answers, or the work cannot be done as it is asked for.
    """

    def __init__(self, work: ProcessingPlan, options: RunOptions) -> None:
        self._cluster: Any = None
        self._client: Any = None
        self._begun = False
        child = (_absolute_work(work), options.threads or 1, options.timeout_s, options.verbose)
        self._hello = Hello(uuid4().hex, child)
        try:
            self._client = self._connected(options)
            self.about: dict[str, Any] = self._asked_about()
            most = options.memory_bytes or self._share_of_memory()
            self.budget: MemoryBudget | None = MemoryBudget(most) if most else None
        except BaseException:
            self.close()
            raise

    def execute(self, requests: Iterator[Request]) -> Iterator[tuple[Request, Message]]:
        """Yield all requests' messages; the work of a worker that is lost is done again.

        Raises:
            Refusal: the scheduler is lost, or all workers for long, or one cannot work.
        """
        asked: dict[str, tuple[Any, Request]] = {}
        ended: queue.Queue[Any] = queue.Queue()
        while True:
            for request in _some(requests, self._at_once() - len(asked)):
                future = self._client.submit(_do, self._hello, _absolute(request), pure=False)
                asked[future.key] = future, request
                future.add_done_callback(ended.put)
            if not asked:
                return
            future, request = asked.pop(self._next(ended).key)
            for message in self._told(future, request):
                yield request, message
            future.release()

    def close(self) -> None:
        """Leave the scheduler and no process of ours there; end jobs started for this run."""
        if self._client is not None:
            with suppress(Exception):
                if self._answers():
                    self._client.run(_retire, self._hello.run, on_error="ignore")
            with suppress(Exception):
                self._client.close(timeout=1)
        if self._cluster is not None:
            with suppress(Exception):
                self._cluster.close()

    def _asked_about(self) -> dict[str, Any]:
        """Let one worker begin, to see that the work can be done."""
        ended: queue.Queue[Any] = queue.Queue()
        future = self._client.submit(_about, self._hello, pure=False)
        future.add_done_callback(ended.put)
        self._next(ended)
        self._begun = True
        try:
            version, told = future.result()
        except Exception as error:
            if future.status != "error":
                raise RunRefused(_LOST) from error
            raise RunRefused(
                f"a Dask worker cannot begin ({type(error).__name__}); install there what is "
                "installed here"
            ) from error
        _refuse_version(version)
        if isinstance(told, Refused):
            raise RunRefused(told.fact)
        about: dict[str, Any] = told.about
        return about

    def _next(self, ended: queue.Queue[Any]) -> Any:
        """Wait for the next future that ended, as long as there is somebody who could end one."""
        seen = time.monotonic()
        while True:
            try:
                return ended.get(timeout=_LOOK_S)
            except queue.Empty:
                if not self._answers():
                    raise RunRefused(_LOST) from None
            in_queue = self._cluster is not None and not self._begun
            if in_queue or self._threads():
                seen = time.monotonic()
            elif time.monotonic() - seen > NO_WORKER_S:
                raise RunRefused(
                    f"all Dask workers have been away for {NO_WORKER_S} s; start others, the same "
                    "command goes on from what is finished"
                )

    def _told(self, future: Any, request: Request) -> list[Message]:
        """Return a request's messages; a scan that ended several Dask workers is given up."""
        try:
            answer: Answer = future.result()
        except Exception as error:
            if future.status != "error":
                raise RunRefused(_LOST) from error
            return _given_up(request, error)
        _refuse_version(answer.version)
        if isinstance(answer.messages[0], Refused):
            raise RunRefused(answer.messages[0].fact)
        if answer.about and answer.about != self.about:
            raise RunRefused(_difference(answer.about, self.about))
        return answer.messages

    def _at_once(self) -> int:
        return max(LEAST_IN_FLIGHT, AHEAD * self._threads())

    def _threads(self) -> int:
        """Return how many threads all workers have together."""
        try:
            return sum(int(n) for n in self._client.nthreads().values())
        except (OSError, TimeoutError) as error:
            raise RunRefused(_LOST) from error

    def _share_of_memory(self) -> int:
        """Return what a thread of the smallest worker may take; 0: nobody limits them."""
        return min(filter(None, self._client.run(_share_of_memory).values()), default=0)

    def _answers(self) -> bool:
        return bool(self._client.status == "running")

    def _connected(self, options: RunOptions) -> Any:
        try:
            from distributed import Client
        except ImportError as error:
            raise RunRefused(
                "a cluster needs Dask; pip install 'pancseg[cluster]' here and on its machines"
            ) from error
        if not options.verbose:
            _silence()
        if options.slurm:
            self._cluster = slurm_cluster(options.slurm)
            return Client(self._cluster, set_as_default=False)
        try:
            client = Client(options.scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise RunRefused(f"no Dask scheduler answers at {options.scheduler}") from error
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except (OSError, TimeoutError) as error:
            client.close()
            raise RunRefused(
                f"the Dask scheduler at {options.scheduler} has no worker; start some"
            ) from error
        return client


def _refuse_version(version: str) -> None:
    if version != __version__:
        raise RunRefused(
            f"the Dask workers have pancseg {version}, here it is {__version__}; "
            "install the same version"
        )


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Say why masks of two Dask workers would not be the same."""
    if one["inference"] != other["inference"]:
        used = sorted({" ".join(map(str, a["inference"].values())) for a in (one, other)})
        return (
            f"the Dask workers run the network in different ways ({', '.join(used)}); "
            "give an `engine`, and a `precision`, that all of them have"
        )
    return "the Dask workers have different weights of one name; install the same there"


def _silence() -> None:
    """Keep libraries' own words off the terminal: what matters of them is said by us."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _some(requests: Iterator[Request], most: int) -> Iterator[Request]:
    for _ in range(most):
        request = next(requests, None)
        if request is None:
            return
        yield request


def _given_up(request: Request, error: Exception) -> list[Message]:
    fact = f"it could not be done on the cluster ({type(error).__name__})"
    rows = [CaseResult(case, "error", "crashed", fact) for case in request.cases]
    return [*(RowDone(i, "", outcome) for i, outcome in enumerate(rows)), ScanDone()]


# On a Dask worker ------------------------------------------------------------------------------


def _share_of_memory(dask_worker: Any) -> int:
    """Return what each thread of this worker may take; 0: it has no limit."""
    limit: int | None = dask_worker.memory_manager.memory_limit
    return (limit or 0) // int(dask_worker.state.nthreads)


class _Child:
    """The child process of one thread."""

    def __init__(self, hello: Hello) -> None:
        self.hello = hello
        self.process = SupervisedWorker(*hello.child)
        self.busy = threading.Lock()

    def stop(self) -> None:
        with suppress(OSError):
            self.process.stop()


_children: dict[int, _Child] = {}
_retired: set[str] = set()


def _about(hello: Hello) -> tuple[str, Ready | Refused]:
    """Start this thread's child and say what it works with."""
    try:
        return __version__, _child_for(hello).process.start()
    except RunRefused as refusal:
        return __version__, Refused(str(refusal))


def _do(hello: Hello, request: Request) -> Answer:
    """Do a request in this thread's child. Raises nothing: Dask would log what it was asked."""
    child = _child_for(hello)
    messages: list[Message] = []
    with child.busy:
        try:
            child.process.run(request, messages.append)
        except RunRefused as refusal:
            messages = [Refused(str(refusal))]
        except Exception as error:  # noqa: BLE001  such as no more processes
            messages = _given_up(request, error)
        finally:
            if hello.run in _retired:
                child.stop()
    return Answer(__version__, child.process.about, messages)


def _child_for(hello: Hello) -> _Child:
    thread = threading.get_ident()
    child = _children.get(thread)
    if child is None or child.hello.run != hello.run:
        if child:  # of a run that was killed
            child.stop()
        child = _children[thread] = _Child(hello)
    return child


def _retire(run: str) -> None:
    """End the children of a run that is over: at once, or when they have done what they are at."""
    _retired.add(run)
    for child in list(_children.values()):
        if child.hello.run == run and child.busy.acquire(blocking=False):
            try:
                child.stop()
            finally:
                child.busy.release()


# Paths: workers have another working directory --------------------------------------------------


def _absolute(request: Request) -> Request:
    masks = request.masks and request.masks.absolute()
    return replace(request, cases=tuple(map(_absolute_case, request.cases)), masks=masks)


def _absolute_case(case: Case) -> Case:
    mask: Path | None = case.mask and case.mask.absolute()
    return replace(case, image=case.image.absolute(), mask=mask)


def _absolute_work(work: ProcessingPlan) -> ProcessingPlan:
    """Name weights from the root where they are a file and not one of the shipped names."""
    bare = not work.weights or re.fullmatch(r"\w+", work.weights)
    return work if bare else replace(work, weights=str(Path(str(work.weights)).absolute()))
