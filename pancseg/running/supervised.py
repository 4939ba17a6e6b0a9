"""One worker in a child process: when it crashes, hangs or is killed, only its scan is lost."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import IO, Any

from pancseg.cohort import Outcome
from pancseg.running.messages import Done, Keys, Message, OutputLost, Ready, Refused, Request, Row
from pancseg.running.refusal import Refusal
from pancseg.threads import environment
from pancseg.work import Work

Tell = Callable[[Message], None]
CHILD: tuple[str, ...] = ("-m", "pancseg.running.child")
_KILLED = "was killed"
_ENDED = (EOFError, OSError, ValueError, pickle.UnpicklingError)
"""What reading from or writing to a child raises when it has ended, or its pipes were closed."""
_Child = subprocess.Popen[bytes]


class Supervised:
    """Sends requests to a child process and passes on what it says; begins a new one after a crash.

    Args:
        work: what is to be done with every scan.
        threads: CPU threads of the child.
        timeout_s: a scan that takes longer is given up; None: never.
        verbose: the child prints paths and tracebacks.
    """

    def __init__(
        self, work: Work, threads: int, timeout_s: float | None = None, verbose: bool = False
    ) -> None:
        self._hello = (replace(work, threads=threads), threads, verbose)
        self._threads, self._timeout_s = threads, timeout_s
        self._child: _Child | None = None
        self._lock = threading.Lock()
        self._is_ready = self._timed_out = self._stopped = False

    def launch(self) -> None:
        """Begin a child and do not wait for it."""
        self._is_ready = False
        self._child = child = subprocess.Popen(
            [sys.executable, *CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment(self._threads), "PYTHONPATH": _import_path()},
        )
        with suppress(*_ENDED):  # who waits for it will see
            _send(child, self._hello)

    def start(self) -> Ready:
        """Wait until a child can work.

        Raises:
            Refusal: it cannot.
        """
        if self._child is None:
            self.launch()
        child = self._child
        assert child is not None
        try:
            said = _receive(child)
        except _ENDED:
            raise Refusal(f"a worker process cannot start: it {self._end()}") from None
        if isinstance(said, Refused):
            self.stop()
            raise Refusal(said.fact)
        assert isinstance(said, Ready)
        self._is_ready = True
        return said

    def run(self, request: Request, tell: Tell) -> None:
        """Do a request; every row of it is told, then ``Done``; or ``OutputLost``.

        A child that ends before its time costs the row that it was at, or all of them when it was
        at none yet, since then it was reading or segmenting. The others are done by a new child.
        """
        indices = list(range(len(request.cases)))
        while indices:
            part = replace(
                request,
                cases=tuple(request.cases[i] for i in indices),
                known=tuple(request.known[i] for i in indices),
            )
            told = _Told(tell, indices)
            if self._talk(part, told) or self._stopped:
                return
            code, fact = self._verdict()
            left = told.left
            lost = left if len(left) == len(indices) or not left else left[:1]
            for index in lost:
                outcome = Outcome(request.cases[index], "error", code, fact)
                tell(Row(index, told.keys.get(index, ""), outcome))
            indices = [i for i in left if i not in lost]
        tell(Done())

    def stop(self) -> None:
        """End the child, whatever it does, and begin no other."""
        self._stopped = True
        self._kill()
        self._end()

    def _talk(self, request: Request, told: _Told) -> bool:
        """Send a request and pass on all answers; False when the child ended before its time."""
        if self._stopped:
            return False
        if self._child is None or not self._is_ready:
            self.start()
        child = self._child
        assert child is not None
        self._timed_out = False
        timer = threading.Timer(self._timeout_s or 0, self._give_up)
        if self._timeout_s:
            timer.daemon = True
            timer.start()
        try:
            _send(child, request)
            while True:
                message = _receive(child)
                told.pass_on(message)
                if isinstance(message, Done | OutputLost):
                    return True
        except _ENDED:
            return False
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._timed_out = True
        self._kill()

    def _kill(self) -> None:
        if child := self._child:
            child.kill()

    def _verdict(self) -> tuple[str, str]:
        """Return code and fact for the row at which the child ended."""
        how = self._end()
        if self._timed_out:
            fact = (
                f"it took longer than {self._timeout_s:g} s; raise --timeout, or look at the scan"
            )
            return "timeout", fact
        if how == _KILLED:
            fact = "its process was killed, most likely for lack of memory; lower --workers"
            return "killed", fact
        return "crashed", f"its process {how}; run again with --verbose to see where"

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
            return f"ended by itself (exit code {code})"
        return _KILLED if code == -signal.SIGKILL else f"crashed ({_name(-code)})"


class _Told:
    """Passes messages on under a request's own row numbers, and knows which rows are missing."""

    def __init__(self, tell: Tell, indices: list[int]) -> None:
        self._tell, self._indices = tell, indices
        self.left = list(indices)
        self.keys: dict[int, str] = {}

    def pass_on(self, message: Message) -> None:
        """Tell a message."""
        if isinstance(message, Keys):
            self.keys = dict(zip(self._indices, message.keys, strict=True))
        elif isinstance(message, Row):
            index = self._indices[message.place]
            self.left.remove(index)
            message = message._replace(place=index)
        self._tell(message)


def _send(child: _Child, value: object) -> None:
    assert child.stdin is not None
    pickle.dump(value, child.stdin)
    child.stdin.flush()


def _receive(child: _Child) -> Any:
    assert child.stdout is not None
    return pickle.load(child.stdout)


def _import_path() -> str:
    """Return where the child finds what this process imports."""
    return os.pathsep.join(path for path in sys.path if path) or os.getcwd()


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
