"""Keep messages of C++ libraries off the terminal, because they name files."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class _StandardError:
    """Descriptor 2, which is put aside while any thread wants it quiet.

    A process that has no standard error of its own (closed at its start, or no console) is left as
    it is: its descriptor 2 may be any other file.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._aside: int | None = None

    def silence(self) -> None:
        """Discard what is written to descriptor 2 until as many calls of ``restore``."""
        with self._lock:
            self._users += 1
            if self._users == 1 and _is_open():
                self._put_aside()

    def restore(self) -> None:
        """End one ``silence``; the last one brings the descriptor back."""
        with self._lock:
            self._users = max(0, self._users - 1)
            if not self._users:
                self._bring_back()

    def copy(self) -> int | None:
        """Return a new descriptor of what 2 is when nobody silences it; None if there is none."""
        with self._lock:
            if self._aside is None and not _is_open():
                return None
            with suppress(OSError):
                return os.dup(2 if self._aside is None else self._aside)
            return None

    def before_fork(self) -> None:
        """Let no other thread change the descriptor while this process is copied."""
        self._lock.acquire()

    def after_fork(self) -> None:
        """Release what ``before_fork`` took."""
        self._lock.release()

    def in_forked_child(self) -> None:
        """Bring the descriptor back, because the threads that silenced it were not copied."""
        self._lock = threading.Lock()
        self._users = 0
        self._bring_back()

    def _put_aside(self) -> None:
        with suppress(AttributeError, OSError, ValueError):  # None, a broken pipe, closed
            sys.stderr.flush()
        try:
            self._aside = os.dup(2)
        except OSError:  # no descriptor is free; messages stay visible
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        except OSError:
            self._bring_back()

    def _bring_back(self) -> None:
        if self._aside is not None:
            os.dup2(self._aside, 2)
            os.close(self._aside)
            self._aside = None


def _is_open() -> bool:
    """Return whether descriptor 2 is this process's standard error, and not closed."""
    original = sys.__stderr__
    if original is None or original.closed:
        return False
    with suppress(OSError, ValueError):
        os.fstat(2)
        return original.fileno() == 2
    return False


_STDERR = _StandardError()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_STDERR.before_fork,
        after_in_parent=_STDERR.after_fork,
        after_in_child=_STDERR.in_forked_child,
    )


@contextmanager
def quiet_library() -> Iterator[None]:
    """Discard what C++ libraries write directly to standard error (descriptor 2).

    Several threads may do so at once. What other threads write to the descriptor meanwhile is
    discarded too.
    """
    _STDERR.silence()
    try:
        yield
    finally:
        _STDERR.restore()


@contextmanager
def standard_error() -> Iterator[int | None]:
    """Yield a descriptor of standard error for a new process, even while it is quiet here.

    None if this process has no standard error.
    """
    copy = _STDERR.copy()
    try:
        yield copy
    finally:
        if copy is not None:
            os.close(copy)
