"""One worker in a child process: when it crashes, hangs or is killed, only its scan is lost."""

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

Tell = Callable[[Message], None]
CHILD: tuple[str, ...] = ("-m", "pancseg.running.executors.child")
STARTS = 3
"""So often a child is begun for a scan before the scan is given up."""
WAIT_S = 1.0
START_S = 600.0
"""A child that cannot work by then never will: what it loads lies on a share that has gone."""
BROKEN_OFF = "broken off"
"""The stage of a log under which the time of children stands that did not come to an end."""
_KILLED = "was killed"
_ENDED = (EOFError, OSError, ValueError, pickle.UnpicklingError)
"""What reading from or writing to a child raises when it has ended, or its pipes were closed."""
_Child = subprocess.Popen[bytes]


class SupervisedWorker:
    """Sends requests to a child process and passes on what it says; begins a new one after a crash.

    Args:
        work: what is to be done with every scan.
        threads: CPU threads of the child.
        timeout_s: a scan that takes longer is given up; None: never.
        verbose: the child prints paths and tracebacks; otherwise nothing that it prints is shown.

    Attributes:
        proven: a child with this work could begin once, so that one that cannot costs a scan only.
        about: what the last child said that it works with.
    """

    def __init__(
        self,
        work: ProcessingPlan,
        threads: int,
        timeout_s: float | None = None,
        verbose: bool = False,
    ) -> None:
        self._hello = (replace(work, threads=threads), threads, verbose)
        self._threads, self._timeout_s, self._verbose = threads, timeout_s, verbose
        self._child: _Child | None = None
        self._lock = threading.Lock()
        self._is_ready = self._timed_out = self._stopped = False
        self._peak_bytes = 0
        self.proven = False
        self.about: dict[str, Any] = {}

    def launch(self) -> None:
        """Begin a child and do not wait for it.

        Raises:
            OSError: the system lets no other process begin.
        """
        self._is_ready = False
        self._child = child = subprocess.Popen(
            [sys.executable, *CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if self._verbose else subprocess.DEVNULL,  # libraries print names
            env={**os.environ, **environment(self._threads), "PYTHONPATH": _import_path()},
        )
        if self._stopped:  # by another thread, meanwhile
            child.kill()
        with suppress(*_ENDED):  # who waits for it will see
            _send(child, self._hello)

    def start(self) -> Ready:
        """Wait until a child can work; the first start of a run, which alone may refuse.

        Raises:
            Refusal: it cannot.
        """
        try:
            return self._start()
        except _NotBegun as why:
            hint = "" if self._verbose else "; `verbose` shows why"
            raise RunRefused(f"a worker process cannot start: it {why}{hint}") from None

    def run(self, request: Request, tell: Tell) -> None:
        """Do a request; every row of it is told, then ``ScanDone``; or ``OutputLost``.

        A child that ends before its time costs the row that it was at, or all of them when it was
        at none yet, since then it was reading or segmenting. The others are done by a new child.
        """
        spent, masks = _Spent(), dict(request.own_masks)
        left = list(range(len(request.cases)))
        while left and not self._stopped:
            told = _Told(tell, left)
            part = replace(
                request,
                cases=tuple(request.cases[i] for i in left),
                known=tuple(request.known[i] for i in left),
                own_masks=masks,
            )
            lost = list(left)
            if not (failed := self._hand(part)):
                ended = self._listen(told, spent)
                if isinstance(ended, OutputLost):
                    return
                if ended or self._stopped:
                    break
                failed = self._verdict()
                masks |= told.masks
                lost = told.left if len(told.left) == len(left) else told.left[:1]
            for index in lost:
                outcome = CaseResult(request.cases[index], "error", *failed)
                tell(RowDone(index, told.keys.get(index, ""), outcome))
            left = [i for i in told.left if i not in lost]
        if not self._stopped:
            tell(spent.done())

    def stop(self) -> None:
        """End the child, whatever it does, and begin no other."""
        self._stopped = True
        self._kill()
        self._end()

    def _start(self) -> Ready:
        """Wait until a child can work.

        Raises:
            _NotBegun: it ended before.
            Refusal: it says that it cannot, and none of its kind ever could.
        """
        late = threading.Event()
        try:
            if self._child is None:
                self.launch()
            child = self._child
            assert child is not None
            with _killed_after(START_S, child, late):
                said = _receive(child)
        except _ENDED as error:
            if late.is_set():
                self._end()
                raise _NotBegun(f"could not work within {START_S:g} s") from None
            if self._child is None and isinstance(error, OSError):  # no process was begun
                raise _NotBegun(f"got no process ({error.strerror})") from None
            raise _NotBegun(self._end()) from None
        if isinstance(said, Refused):
            self._end()
            if self.proven:
                raise _NotBegun("could not load what it needs")
            raise RunRefused(said.fact)
        assert isinstance(said, Ready)
        self._is_ready = self.proven = True
        self.about = said.about
        return said

    def _hand(self, request: Request) -> tuple[ReasonCode, str] | None:
        """Give a request to a child that lives; return code and fact when none could be begun."""
        how = ""
        for attempt in range(STARTS):
            if attempt:
                time.sleep(WAIT_S)  # for others to give memory back
            if self._stopped:
                break
            try:
                if self._child and self._is_ready and self._child.poll() is not None:
                    self._end()  # while it was idle: no row was at fault
                if not (self._child and self._is_ready):
                    self._start()
                assert self._child is not None
                _send(self._child, request)
                return None
            except _NotBegun as why:
                how = str(why)
            except _ENDED:
                how = self._end()
        fact = f"no worker process could begin for it: the last of {STARTS} {how}"
        if how == _KILLED:
            return "killed", f"{fact}, most likely for lack of memory; lower `workers`"
        return "crashed", f"{fact}; run again with `verbose` to see why"

    def _listen(self, told: _Told, spent: _Spent) -> ScanDone | OutputLost | None:
        """Pass on all answers; return the last, or None when the child ended before its time."""
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
                told.pass_on(message)
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

    def _verdict(self) -> tuple[ReasonCode, str]:
        """Return code and fact for the row at which the child ended."""
        how = self._end()
        if self._timed_out:
            fact = (
                f"it took longer than {self._timeout_s:g} s; raise `timeout_s`, or look at the scan"
            )
            return "timeout", fact
        if how == _KILLED:
            fact = "its process was killed, most likely for lack of memory; lower `workers`"
            return "killed", fact
        return "crashed", f"its process {how}; run again with `verbose` to see where"

    def _end(self) -> str:
        """Wait for the child's end and say how it ended."""
        with self._lock:
            child, self._child = self._child, None
        if child is None:
            return "was stopped"
        for pipe in (child.stdin, child.stdout):
            _close(pipe)
        code = child.wait()
        if code >= 0:
            return f"ended by itself with code {code}"
        return _KILLED if code == -signal.SIGKILL else f"crashed ({_name(-code)})"


class _NotBegun(Exception):
    """A child ended before it could work; the text says how."""


class _Spent:
    """What a request took, over all children that were at it."""

    def __init__(self) -> None:
        self._done = ScanDone()

    def finished(self, done: ScanDone) -> None:
        """Add what the child said that came to the end."""
        stages = {**self._done.stages, **done.stages}
        self._add(done.seconds, stages, done.peak_bytes, done.acquisition)

    def broken_off(self, seconds: float, peak_bytes: int) -> None:
        """Add a child that ended before its time: nobody knows at which stage it was."""
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


class _Told:
    """Passes messages on under a request's own row numbers; knows missing rows and new masks."""

    def __init__(self, tell: Tell, indices: list[int]) -> None:
        self._tell, self._indices = tell, indices
        self.left = list(indices)
        self.keys: dict[int, str] = {}
        self.masks: dict[str, MadeFrom] = {}

    def pass_on(self, message: Message) -> None:
        """Tell a message."""
        if isinstance(message, RowKeys):
            self.keys = dict(zip(self._indices, message.keys, strict=True))
        elif isinstance(message, RowDone):
            index = self._indices[message.place]
            self.left.remove(index)
            message = message._replace(place=index)
        elif isinstance(message, MaskMade):
            self.masks[message.digest] = message.made
        self._tell(message)


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
    """Return where the child finds what this process imports."""
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
    except OSError:  # what was still to be sent has no reader
        pass
