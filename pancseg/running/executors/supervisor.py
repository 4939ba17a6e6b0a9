"""Run one worker in a child process, so that a crash, a hang or a kill costs only one scan."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import IO, Any

from pancseg.errors import RunRefused
from pancseg.processing.plan import ProcessingPlan
from pancseg.processing.row import CaseResult
from pancseg.reasons import ReasonCode
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
from pancseg.system.threads import environment
from pancseg.tables.fields import Value

OnMessage = Callable[[Message], None]
CHILD: tuple[str, ...] = ("-m", "pancseg.running.executors.child")
STARTS = 3
"""Number of attempts to start a child for a scan before the scan is given up."""
WAIT_S = 1.0
START_S = 600.0
"""Seconds after which a child that is not ready is given up; its files are likely unreachable."""
BROKEN_OFF = "broken off"
"""Stage in the log for the time of children that ended during a scan."""
_KILLED = "was killed"
_ENDED = (EOFError, OSError, ValueError, pickle.UnpicklingError)
"""Exceptions of reading from or writing to a child that has ended, or whose pipes are closed."""
_Child = subprocess.Popen[bytes]


class SupervisedWorker:
    """Sends requests to a child process and forwards its messages; replaces a child that crashed.

    Args:
        plan: what is done with every scan.
        threads: CPU threads of the child.
        timeout_s: seconds after which a scan is given up; None for no limit.
        verbose: let the child print paths and tracebacks; otherwise nothing it prints is shown.

    Attributes:
        proven: a child with this plan could start before. From then on, a child that cannot start
            costs only its scan and does not end the run.
        network_info: the weights and the engine of the last child; empty without a network.
    """

    def __init__(
        self,
        plan: ProcessingPlan,
        threads: int,
        timeout_s: float | None = None,
        verbose: bool = False,
    ) -> None:
        self._setup = (replace(plan, threads=threads), threads, verbose)
        self._threads, self._timeout_s, self._verbose = threads, timeout_s, verbose
        self._child: _Child | None = None
        self._lock = threading.Lock()
        self._is_ready = self._timed_out = self._stopped = False
        self._peak_bytes = 0
        self.proven = False
        self.network_info: dict[str, Any] = {}

    def launch(self) -> None:
        """Start a child without waiting until it is ready.

        Raises:
            OSError: the system cannot start another process.
        """
        self._is_ready = False
        self._child = child = subprocess.Popen(
            [sys.executable, *CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if self._verbose else subprocess.DEVNULL,  # libraries print names
            env={**os.environ, **environment(self._threads), "PYTHONPATH": _import_path()},
        )
        if self._stopped:  # by another thread in the meantime
            child.kill()
        with suppress(*_ENDED):  # waiting for the child raises it again
            _send(child, self._setup)

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
        left = list(range(len(request.cases)))
        while left and not self._stopped:
            relay = _Relay(on_message, left)
            part = replace(
                request,
                cases=tuple(request.cases[i] for i in left),
                known=tuple(request.known[i] for i in left),
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

    def _start(self) -> Ready:
        """Start a child if need be, and wait until it is ready.

        Raises:
            _NotStarted: the child ended before it was ready.
            RunRefused: the child cannot carry out the plan, and no child of this plan ever could.
        """
        late = threading.Event()
        try:
            if self._child is None:
                self.launch()
            child = self._child
            assert child is not None
            with _killed_after(START_S, child, late):
                answer = _receive(child)
        except _ENDED as error:
            if late.is_set():
                self._end()
                raise _NotStarted(f"was not ready within {START_S:g} s") from None
            if self._child is None and isinstance(error, OSError):  # no process was started
                raise _NotStarted(f"got no process ({error.strerror})") from None
            raise _NotStarted(self._end()) from None
        if isinstance(answer, Refused):
            self._end()
            if self.proven:
                raise _NotStarted("could not load what it needs")
            raise RunRefused(answer.fact)
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
                if self._child and self._is_ready and self._child.poll() is not None:
                    self._end()  # it ended while it was idle, so no row is to blame
                if not (self._child and self._is_ready):
                    self._start()
                assert self._child is not None
                _send(self._child, request)
                return None
            except _NotStarted as why:
                how = str(why)
            except _ENDED:
                how = self._end()
        fact = f"no worker process could start for it: the last of {STARTS} {how}"
        if how == _KILLED:
            return "killed", f"{fact}, most likely for lack of memory; lower `workers`"
        return "crashed", f"{fact}; run again with `verbose` to see why"

    def _listen(self, relay: _Relay, spent: _Spent) -> ScanDone | OutputLost | None:
        """Forward all messages; return the last, or None if the child ended too early."""
        child = self._child
        if child is None:  # stopped by another thread
            return None
        began = time.perf_counter()
        self._timed_out, self._peak_bytes = False, 0
        timer = threading.Timer(self._timeout_s or 0, self._give_up)
        if self._timeout_s:
            timer.daemon = True
            timer.start()
        try:
            while True:
                message = _receive(child)
                if isinstance(message, ScanDone):
                    spent.finished(message)
                    return message
                relay.forward(message)
                if isinstance(message, OutputLost):
                    return message
        except _ENDED:
            spent.broken_off(time.perf_counter() - began, self._peak_bytes)
            return None
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        if child := self._child:
            self._peak_bytes = high_water_bytes(child.pid)
        self._timed_out = True
        self._kill()

    def _kill(self) -> None:
        if child := self._child:
            child.kill()

    def _reason(self) -> tuple[ReasonCode, str]:
        """Return code and fact for the row that the child was working on when it ended."""
        how = self._end()
        if self._timed_out:
            fact = (
                f"it took longer than {self._timeout_s:g} s; raise `timeout_s`, or check the scan"
            )
            return "timeout", fact
        if how == _KILLED:
            fact = "its process was killed, most likely for lack of memory; lower `workers`"
            return "killed", fact
        return "crashed", f"its process {how}; run again with `verbose` to see where"

    def _end(self) -> str:
        """Wait for the child's end and return how it ended."""
        with self._lock:
            child, self._child = self._child, None
        if child is None:
            return "was stopped"
        for pipe in (child.stdin, child.stdout):
            _close(pipe)
        code = child.wait()
        if code >= 0:
            return f"exited with code {code}"
        return _KILLED if code == -signal.SIGKILL else f"crashed ({_name(-code)})"


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
        self._on_message(message)


@contextmanager
def _killed_after(seconds: float, child: _Child, late: threading.Event) -> Iterator[None]:
    def kill() -> None:
        late.set()
        child.kill()

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _send(child: _Child, value: object) -> None:
    assert child.stdin is not None
    pickle.dump(value, child.stdin)
    child.stdin.flush()


def _receive(child: _Child) -> Any:
    assert child.stdout is not None
    return pickle.load(child.stdout)


def _import_path() -> str:
    """Return a PYTHONPATH with which the child imports the same modules as this process."""
    return os.pathsep.join(path or os.getcwd() for path in sys.path)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _close(pipe: IO[bytes] | None) -> None:
    try:
        if pipe:
            pipe.close()
    except OSError:  # closing sends what is left, but nobody reads it
        pass
