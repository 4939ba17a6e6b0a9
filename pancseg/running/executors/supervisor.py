"""Run one worker in a child process, so that a crash, a hang or a kill costs only one scan."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pancseg.errors import RunRefused
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.reasons import ReasonCode
from pancseg.running.executors.process import BROKEN_PIPE, KILLED, ChildProcess, worker_process
from pancseg.running.memory import high_water_bytes
from pancseg.running.messages import (
    MadeFrom,
    MaskMade,
    Message,
    OutputLost,
    Ready,
    Refused,
    Request,
    RowDone,
    RowKeys,
    ScanDone,
)
from pancseg.running.time_limit import default_limit_s
from pancseg.segmentation import MOST_LOOKS
from pancseg.system.processes.build import difference
from pancseg.tables.fields import Value

OnMessage = Callable[[Message], None]
STARTS = 3
"""Number of attempts to start a child for a scan before the scan is given up."""
WAIT_S = 1.0
START_S = 600.0
"""Seconds after which a child that is not ready is given up; its files are likely unreachable."""
BROKEN_OFF = "broken off"
"""Stage in the log for the time of children that ended during a scan."""
_ANOTHER_BUILD = (AttributeError, ImportError, TypeError)
"""Exceptions of reading the first answer of a child with another version of pancseg."""


class SupervisedWorker:
    """Sends requests to a child process and forwards its messages; replaces a child that crashed.

    Args:
        plan: what is done with every scan.
        threads: CPU threads of the child.
        verbose: let the child print paths and tracebacks; otherwise nothing it prints is shown.
        started: a child that was started before, for the first launch.

    Attributes:
        proven: a child with this plan could start before. From then on, a child that cannot start
            costs only its scan and does not end the run.
        network_info: the weights and the engine of the last child; empty without a network.
    """

    def __init__(
        self,
        plan: ProcessingPlan,
        threads: int,
        verbose: bool = False,
        started: ChildProcess | None = None,
    ) -> None:
        self._started = started
        self._setup = (replace(plan, threads=threads), threads, verbose)
        self._threads, self._verbose = threads, verbose
        self._limit_s = 0.0
        self._child: ChildProcess | None = None
        self._lock = threading.Lock()
        self._is_ready = self._timed_out = self._stopped = False
        self.proven = False
        self.network_info: dict[str, Any] = {}

    def launch(self) -> None:
        """Start a child without waiting until it is ready.

        Raises:
            OSError: the system cannot start another process.
        """
        self._is_ready = False
        started, self._started = self._started, None
        self._child = child = started or worker_process(self._threads, self._verbose)
        if self._stopped:  # by another thread in the meantime
            child.kill()
        with suppress(*BROKEN_PIPE):  # waiting for the child raises it again
            child.send(self._setup, START_S)

    def start(self) -> Ready:
        """Start a child if need be, and wait until it is ready; for the first start of a run.

        Raises:
            RunRefused: the child cannot carry out the plan, or cannot start.
        """
        try:
            return self._start()
        except _NotStarted as why:
            hint = "" if self._verbose else "; `verbose` shows why"
            raise RunRefused(f"a worker process cannot start: it {why}{hint}") from None

    def run(self, request: Request, on_message: OnMessage) -> None:
        """Process a request; ``on_message`` gets its messages up to ``ScanDone`` or ``OutputLost``.

        A child that ends too early costs the row that it was working on. If no row was done yet,
        the child was reading or segmenting, and all rows are lost. A new child makes the others.
        """
        spent, masks = _Spent(), dict(request.earlier_masks)
        self._limit_s = self._limit_of(request)
        left = list(range(len(request.cases)))
        while left and not self._stopped:
            relay = _Relay(on_message, left)
            part = replace(
                request,
                cases=tuple(request.cases[i] for i in left),
                known=tuple(request.known[i] for i in left),
                marks=tuple(request.marks[i] for i in left) if request.marks else (),
                earlier_masks=masks,
            )
            lost = list(left)
            if not (failed := self._hand(part)):
                ended = self._listen(relay, spent)
                if isinstance(ended, OutputLost):
                    return
                if ended or self._stopped:
                    break
                failed = self._reason()
                masks |= relay.masks
                lost = relay.left if len(relay.left) == len(left) else relay.left[:1]
            for index in lost:
                result = CaseResult.of_one_reason(request.cases[index], "error", *failed)
                on_message(RowDone(index, relay.keys.get(index, ""), result))
            left = [i for i in relay.left if i not in lost]
        if not self._stopped:
            on_message(spent.done())

    def stop(self) -> None:
        """End the child, even if it is busy, and start no other."""
        self._stopped = True
        self._kill()
        self._end()
        if started := self._started:
            started.kill()
            started.end()

    def _start(self) -> Ready:
        """Start a child if need be, and wait until it is ready.

        Raises:
            _NotStarted: the child ended before it was ready.
            RunRefused: the child cannot carry out the plan, and no child of this plan ever could.
        """
        try:
            if self._child is None:
                self.launch()
            child = self._child
            assert child is not None
            answer = child.receive(until=time.monotonic() + START_S)
        except TimeoutError:
            self._kill()
            self._end()
            raise _NotStarted(f"was not ready within {START_S:g} s") from None
        except _ANOTHER_BUILD:
            answer = Ready({})
        except BROKEN_PIPE as error:
            if self._child is None and isinstance(error, OSError):  # no process was started
                raise _NotStarted(f"got no process ({error.strerror})") from None
            raise _NotStarted(self._end()) from None
        fact = answer.fact if isinstance(answer, Refused) else ""
        if isinstance(answer, Ready) and (differs := difference(answer.build, "a worker process")):
            fact = f"{differs}; start pancseg again, and install it only once"
            self._kill()
        if fact:
            self._end()
            if self.proven:
                raise _NotStarted("could not load what it needs")
            raise RunRefused(fact)
        assert isinstance(answer, Ready)
        self._is_ready = self.proven = True
        self.network_info = answer.network_info
        return answer

    def _hand(self, request: Request) -> tuple[ReasonCode, str] | None:
        """Send a request to a running child; return code and fact if none could be started."""
        how = ""
        for attempt in range(STARTS):
            if attempt:
                time.sleep(WAIT_S)  # other processes may release memory
            if self._stopped:
                break
            try:
                if self._child and self._is_ready and not self._child.alive:
                    self._end()  # it ended while it was idle, so no row is to blame
                if not (self._child and self._is_ready):
                    self._start()
                assert self._child is not None
                self._child.send(request, self._limit_s)
                return None
            except _NotStarted as why:
                how = str(why)
            except BROKEN_PIPE:
                how = self._end()
        fact = f"no worker process could start for it: the last of {STARTS} {how}"
        if how == KILLED:
            return "killed", f"{fact}, most likely for lack of memory; lower `workers`"
        return "crashed", f"{fact}; run again with `verbose` to see why"

    def _listen(self, relay: _Relay, spent: _Spent) -> ScanDone | OutputLost | None:
        """Forward all messages; return the last, or None if the child ended too early."""
        child = self._child
        if child is None:  # stopped by another thread
            return None
        began, self._timed_out = time.monotonic(), False
        peak_bytes = 0
        try:
            while True:
                message = child.receive(until=began + self._limit_s)
                if isinstance(message, ScanDone):
                    spent.finished(message)
                    return message
                relay.forward(message)
                if isinstance(message, OutputLost):
                    return message
        except TimeoutError:
            peak_bytes = high_water_bytes(child.pid)
            self._timed_out = True
            self._kill()
        except BROKEN_PIPE:
            pass
        spent.broken_off(time.monotonic() - began, peak_bytes)
        return None

    def _limit_of(self, request: Request) -> float:
        """Return the seconds that a request may take."""
        if request.limit_s is not None:
            return request.limit_s
        plan = self._setup[0]
        passes = plan.uncertainty
        if plan.weights:  # how many looks they have is not known before a child is ready
            known = self.network_info.get("inference", {})
            passes += known.get("looks", plan.looks or MOST_LOOKS)
        return default_limit_s(request.memory_bytes, len(request.cases), passes)

    def _kill(self) -> None:
        if child := self._child:
            child.kill()

    def _reason(self) -> tuple[ReasonCode, str]:
        """Return code and fact for the row that the child was working on when it ended."""
        how = self._end()
        if self._timed_out:
            fact = f"it took longer than {self._limit_s:g} s; raise `timeout_s`, or check the scan"
            return "timeout", fact
        if how == KILLED:
            fact = "its process was killed, most likely for lack of memory; lower `workers`"
            return "killed", fact
        return "crashed", f"its process {how}; run again with `verbose` to see where"

    def _end(self) -> str:
        """Wait for the child's end and return how it ended."""
        with self._lock:
            child, self._child = self._child, None
        if child is None:
            return "was stopped"
        return child.end()


class _NotStarted(Exception):
    """A child ended before it was ready; the text says how."""


class _Spent:
    """Adds up time and memory of a request over all children that worked on it."""

    def __init__(self) -> None:
        self._done = ScanDone()

    def finished(self, done: ScanDone) -> None:
        """Add the child that finished the request."""
        stages = {**self._done.stages, **done.stages}
        self._add(done.seconds, stages, done.peak_bytes, done.acquisition)

    def broken_off(self, seconds: float, peak_bytes: int) -> None:
        """Add a child that ended too early, at an unknown stage."""
        before = self._done.stages.get(BROKEN_OFF, 0.0)
        self._add(seconds, {BROKEN_OFF: before + seconds}, peak_bytes, {})

    def done(self) -> ScanDone:
        """Return the sum."""
        return self._done

    def _add(
        self, seconds: float, stages: dict[str, float], peak: int, acquisition: dict[str, Value]
    ) -> None:
        most = max(self._done.peak_bytes, peak)
        self._done = ScanDone(self._done.seconds + seconds, stages, most, acquisition)


class _Relay:
    """Forwards the messages of a partial request, with row positions of the whole request.

    Args:
        on_message: gets the messages.
        indices: positions, in the whole request, of the rows of the partial one.

    Attributes:
        left: positions of the rows that are not done.
        keys: position → key of the row.
        masks: SHA-256 → what it was made from, for new masks.
    """

    def __init__(self, on_message: OnMessage, indices: list[int]) -> None:
        self._on_message, self._indices = on_message, indices
        self.left = list(indices)
        self.keys: dict[int, str] = {}
        self.masks: dict[str, MadeFrom] = {}

    def forward(self, message: Message) -> None:
        """Forward one message."""
        if isinstance(message, RowKeys):
            self.keys = dict(zip(self._indices, message.keys, strict=True))
        elif isinstance(message, RowDone):
            index = self._indices[message.position]
            self.left.remove(index)
            message = message._replace(position=index)
        elif isinstance(message, MaskMade):
            self.masks[message.digest] = message.made
            indices = tuple(self._indices[position] for position in message.positions)
            message = message._replace(positions=indices)
        self._on_message(message)
