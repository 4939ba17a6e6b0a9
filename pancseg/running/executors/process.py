"""One child process that is spoken to in pickled values, and that never keeps anybody waiting."""

from __future__ import annotations

import pickle
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pancseg.system.native_output import standard_error
from pancseg.system.processes.python_child import child_environment, python_command
from pancseg.system.threads import environment

CHILD: tuple[str, ...] = ("-m", "pancseg.running.executors.child")
"""What Python is started with to be a worker."""
KILLED = "was killed"
ENDS_S = 30.0
"""Seconds that a child may take to end: after its last message, and again after it was killed."""
BROKEN_PIPE = (EOFError, OSError, ValueError, pickle.UnpicklingError)
"""Exceptions of speaking to a child that has ended, or whose pipes are closed."""


class _Ended:
    """Stands for the end of a child's answers, and says why they ended."""

    def __init__(self, why: BaseException) -> None:
        self.why = why


class ChildProcess:
    """A child process.

    A thread reads its answers, because a read cannot be given up: a child that waits for an
    unreachable file share does not even end when it is killed.

    Args:
        arguments: what Python is started with.
        threads: CPU threads of the child.
        verbose: let it print to standard error; otherwise nothing that it prints is shown.

    Raises:
        OSError: the system cannot start another process.
    """

    def __init__(self, arguments: Sequence[str], threads: int, verbose: bool) -> None:
        with standard_error() as stderr:
            self._process = subprocess.Popen(
                python_command(*arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Libraries print names
                stderr=stderr if verbose and stderr is not None else subprocess.DEVNULL,
                env={**child_environment(), **environment(threads)},
            )
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def send(self, value: object, limit_s: float) -> None:
        """Send a value; a child that does not take it in time is killed.

        Raises:
            OSError, ValueError: the child has ended.
        """
        assert self._process.stdin is not None
        timer = threading.Timer(min(limit_s, threading.TIMEOUT_MAX), self.kill)
        timer.daemon = True
        timer.start()
        try:
            pickle.dump(value, self._process.stdin)
            self._process.stdin.flush()
        finally:
            timer.cancel()

    def receive(self, until: float) -> Any:
        """Return the child's next answer.

        Args:
            until: time of ``time.monotonic`` to wait until.

        Raises:
            TimeoutError: there was no answer in time.
            EOFError, OSError: the child has ended.
            Exception: what unpickling its answer raises.
        """
        try:
            left_s = min(max(0.0, until - time.monotonic()), threading.TIMEOUT_MAX)
            answer = self._answers.get(timeout=left_s)
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(answer, _Ended):
            self._answers.put(answer)
            raise answer.why
        return answer

    def kill(self) -> None:
        """Kill the child, without waiting for its end."""
        self._process.kill()

    def wait(self) -> None:
        """Wait for the child's end, but not for ever."""
        self.end()

    def end(self) -> str:
        """Wait for the child's end and return how it ended; one that does not end is killed."""
        with suppress(OSError):  # closing sends what is left, but nobody reads it
            if self._process.stdin:
                self._process.stdin.close()
        for _ in range(2):
            try:
                code = self._process.wait(ENDS_S)
            except subprocess.TimeoutExpired:
                self.kill()
                continue
            if code >= 0:
                return f"exited with code {code}"
            return KILLED if code == -signal.SIGKILL else f"crashed ({_name(-code)})"
        return "does not end, even when it is killed"

    def _read(self) -> None:
        """Collect the child's answers until it ends."""
        stream = self._process.stdout
        assert stream is not None
        with suppress(OSError), stream:
            while True:
                try:
                    self._answers.put(pickle.load(stream))
                except Exception as error:  # noqa: BLE001  ``receive`` raises it
                    self._answers.put(_Ended(error))
                    return


def worker_process(threads: int, verbose: bool) -> ChildProcess:
    """Start a worker's process.

    Args:
        threads: as for :class:`ChildProcess`.
        verbose: as for :class:`ChildProcess`.

    Raises:
        OSError: the system cannot start another process.
    """
    return ChildProcess(CHILD, threads, verbose)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
