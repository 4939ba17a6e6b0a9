"""Process scans on a Dask cluster (extra ``cluster``), with the same rows as on one machine.

Each thread of a Dask worker runs one child process, so that a crash costs only one scan, as on one
machine. Scans, masks and output must have the same paths on all machines.
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
from pancseg.running.messages import (
    Message,
    OnStage,
    Ready,
    Refused,
    Request,
    RowDone,
    ScanDone,
)
from pancseg.running.options import RunOptions
from pancseg.system.processes.build import Build, difference, own_build
from pancseg.system.processes.patience import answer_within
from pancseg.system.stage import Stage

AHEAD = 3
"""Scans submitted in advance for each thread of the Dask workers."""
LEAST_IN_FLIGHT = 16
CONNECT_S = 10
ANSWERS_S = 120.0
"""Seconds that the scheduler, which may be stopped, may take to answer a question."""
RETIRE_S = 20.0
NO_WORKER_S = 300
"""Seconds that a Dask cluster may be without any worker before the run gives up."""
_LOOK_S = 2
_RESUME = "run the same command again to resume"
_LOST = f"the connection to the Dask scheduler was lost; {_RESUME}"
_LOGGERS = ("distributed", "dask_jobqueue", "tornado", "asyncio")


class WorkerSetup(NamedTuple):
    """What a Dask worker needs to start its child process.

    Attributes:
        run: random id of the run.
        child: arguments of ``SupervisedWorker``.
    """

    run: str
    child: tuple[ProcessingPlan, int, bool]


class Answer(NamedTuple):
    """A Dask worker's answer to a request.

    Attributes:
        build: the pancseg that the Dask worker runs; its child process runs the same.
        network_info: the weights and the engine of its child process; empty without a network, or
            if no child could start.
        messages: messages of the request, or a single ``Refused``.
    """

    build: Build
    network_info: dict[str, Any]
    messages: list[Message]


class ClusterExecutor:
    """Processes requests on the workers of a Dask scheduler, or of SLURM jobs that it starts.

    Args:
        plan: what is done with every scan.
        options: address of the scheduler or settings of the SLURM jobs; threads, memory, timeout.

    Raises:
        RunRefused: no scheduler answers, or the plan cannot be carried out.
    """

    def __init__(self, plan: ProcessingPlan, options: RunOptions) -> None:
        self._cluster: Any = None
        self._client: Any = None
        self._begun = False
        self.at_once = 0
        child = (_absolute_plan(plan), options.threads or 1, options.verbose)
        self._setup = WorkerSetup(uuid4().hex, child)
        try:
            self._client = self._connected(options)
            self.network_info: dict[str, Any] = self._ask_network_info()
            most = options.memory_bytes or self._share_of_memory()
            self.budget: MemoryBudget | None = MemoryBudget(most) if most else None
        except BaseException:
            self.close()
            raise

    def execute(
        self, requests: Iterator[Request], on_stage: OnStage
    ) -> Iterator[tuple[Request, Message]]:
        """Yield the messages of all requests; requests of a lost worker are processed again.

        The stages of a scan are not told: messages leave a Dask worker when its scan is done.

        Raises:
            RunRefused: the scheduler is lost, all workers are away for too long, or a worker cannot
                carry out the plan.
        """
        submitted: dict[str, tuple[Any, Request]] = {}
        ended: queue.Queue[Any] = queue.Queue()
        while True:
            for request in _some(requests, self._most_submitted() - len(submitted)):
                future = self._client.submit(_process, self._setup, _absolute(request), pure=False)
                submitted[future.key] = future, request
                future.add_done_callback(ended.put)
            if not submitted:
                return
            future, request = submitted.pop(self._next(ended).key)
            for message in self._messages_of(future, request):
                yield request, message
            future.release()

    def close(self) -> None:
        """End the child processes of this run, disconnect, and end jobs started for this run."""
        if self._client is not None:
            with suppress(Exception):
                if self._is_connected():
                    client, run = self._client, self._setup.run
                    answer_within(RETIRE_S, lambda: client.run(_retire, run, on_error="ignore"))
            with suppress(Exception):
                self._client.close(timeout=1)
        if self._cluster is not None:
            with suppress(Exception):
                self._cluster.close()

    def _ask_network_info(self) -> dict[str, Any]:
        """Start one child process, to find out whether the plan can be carried out."""
        ended: queue.Queue[Any] = queue.Queue()
        future = self._client.submit(_start_child, self._setup, pure=False)
        future.add_done_callback(ended.put)
        self._next(ended)
        self._begun = True
        try:
            build, answer = future.result(timeout=ANSWERS_S)
        except Exception as error:
            if future.status != "error":
                raise RunRefused(_LOST) from error
            raise RunRefused(
                f"a Dask worker cannot start ({type(error).__name__}); install the same packages "
                "there as here"
            ) from error
        _refuse_other(build)
        if isinstance(answer, Refused):
            raise RunRefused(answer.fact)
        network_info: dict[str, Any] = answer.network_info
        return network_info

    def _next(self, ended: queue.Queue[Any]) -> Any:
        """Wait for the next future that ended; give up when there is no worker for too long."""
        last_seen = time.monotonic()
        while True:
            try:
                return ended.get(timeout=_LOOK_S)
            except queue.Empty:
                if not self._is_connected():
                    raise RunRefused(_LOST) from None
            in_queue = self._cluster is not None and not self._begun
            if in_queue or self._threads():
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > NO_WORKER_S:
                raise RunRefused(
                    f"there has been no Dask worker for {NO_WORKER_S} s; start some, and {_RESUME}"
                )

    def _messages_of(self, future: Any, request: Request) -> list[Message]:
        """Return a request's messages; a scan that killed several Dask workers is given up."""
        try:
            answer: Answer = future.result(timeout=ANSWERS_S)
        except Exception as error:
            if future.status != "error":
                raise RunRefused(_LOST) from error
            return _given_up(request, error)
        _refuse_other(answer.build)
        if isinstance(answer.messages[0], Refused):
            raise RunRefused(answer.messages[0].fact)
        if answer.network_info and answer.network_info != self.network_info:
            raise RunRefused(_difference(answer.network_info, self.network_info))
        return answer.messages

    def _most_submitted(self) -> int:
        self.at_once = self._threads()
        return max(LEAST_IN_FLIGHT, AHEAD * self.at_once)

    def _threads(self) -> int:
        """Return the number of threads of all Dask workers together."""
        try:
            return sum(int(n) for n in answer_within(ANSWERS_S, self._client.nthreads).values())
        except (OSError, TimeoutError) as error:
            raise RunRefused(_LOST) from error

    def _share_of_memory(self) -> int:
        """Return the bytes of memory per thread of the smallest worker; 0 if there is no limit."""
        try:
            shares = answer_within(ANSWERS_S, lambda: self._client.run(_share_of_memory))
        except (OSError, TimeoutError) as error:
            raise RunRefused(_LOST) from error
        return min(filter(None, shares.values()), default=0)

    def _is_connected(self) -> bool:
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
            raise RunRefused(
                f"no Dask scheduler answers at {options.scheduler}; check the address"
            ) from error
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except (OSError, TimeoutError) as error:
            client.close()
            raise RunRefused(
                f"the Dask scheduler at {options.scheduler} has no worker; start some"
            ) from error
        return client


def _refuse_other(build: Build) -> None:
    if differs := difference(build, "a Dask worker"):
        raise RunRefused(f"{differs}; install the same version there as here")


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Return why masks of two Dask workers would differ."""
    if one["inference"] != other["inference"]:
        used = sorted({" ".join(map(str, a["inference"].values())) for a in (one, other)})
        return (
            f"the Dask workers run the network in different ways ({', '.join(used)}); "
            "give an `engine`, and a `precision`, that all of them have"
        )
    return "the Dask workers have different weights under one name; install the same weights"


def _silence() -> None:
    """Keep log messages of Dask's libraries off the terminal; pancseg reports what matters."""
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
    rows = [CaseResult.of_one_reason(case, "error", "crashed", fact) for case in request.cases]
    return [*(RowDone(i, "", result) for i, result in enumerate(rows)), ScanDone()]


# Runs on a Dask worker -------------------------------------------------------------------------


def _share_of_memory(dask_worker: Any) -> int:
    """Return the bytes of memory for each thread of this Dask worker; 0 if it has no limit."""
    limit: int | None = dask_worker.memory_manager.memory_limit
    return (limit or 0) // int(dask_worker.state.nthreads)


class _Child:
    """The child process of one thread of a Dask worker."""

    def __init__(self, setup: WorkerSetup) -> None:
        self.setup = setup
        self.process = SupervisedWorker(*setup.child)
        self.busy = threading.Lock()

    def stop(self) -> None:
        with suppress(OSError):
            self.process.stop()


_children: dict[int, _Child] = {}
_retired: set[str] = set()


def _start_child(setup: WorkerSetup) -> tuple[Build, Ready | Refused]:
    """Start this thread's child process; return the build of pancseg and the child's answer."""
    try:
        return own_build(), _child_for(setup).process.start()
    except RunRefused as refusal:
        return own_build(), Refused(str(refusal))


def _process(setup: WorkerSetup, request: Request) -> Answer:
    """Process a request in this thread's child process.

    It raises nothing, because Dask would log the arguments, which contain paths.
    """
    child = _child_for(setup)
    messages: list[Message] = []

    def keep(message: Message) -> None:
        if not isinstance(message, Stage):  # nobody hears of it before the scan is done
            messages.append(message)

    with child.busy:
        try:
            child.process.run(request, keep)
        except RunRefused as refusal:
            messages = [Refused(str(refusal))]
        except Exception as error:  # noqa: BLE001  for example, no more processes can be started
            messages = _given_up(request, error)
        finally:
            if setup.run in _retired:
                child.stop()
    return Answer(own_build(), child.process.network_info, messages)


def _child_for(setup: WorkerSetup) -> _Child:
    thread = threading.get_ident()
    child = _children.get(thread)
    if child is None or child.setup.run != setup.run:
        if child:  # of a run that was killed
            child.stop()
        child = _children[thread] = _Child(setup)
    return child


def _retire(run: str) -> None:
    """End a finished run's child processes: idle ones now, busy ones after their request."""
    _retired.add(run)
    for child in list(_children.values()):
        if child.setup.run == run and child.busy.acquire(blocking=False):
            try:
                child.stop()
            finally:
                child.busy.release()


# Absolute paths, as workers have another working directory ---------------------------------------


def _absolute(request: Request) -> Request:
    masks = request.masks and request.masks.absolute()
    pictures = request.pictures and request.pictures.absolute()
    cases = tuple(map(_absolute_case, request.cases))
    return replace(request, cases=cases, masks=masks, pictures=pictures)


def _absolute_case(case: Case) -> Case:
    mask: Path | None = case.mask and case.mask.absolute()
    return replace(case, image=case.image.absolute(), mask=mask)


def _absolute_plan(plan: ProcessingPlan) -> ProcessingPlan:
    """Return the plan with the absolute path of its weights, unless they are a shipped name."""
    shipped = not plan.weights or re.fullmatch(r"\w+", plan.weights)
    return plan if shipped else replace(plan, weights=str(Path(str(plan.weights)).absolute()))
