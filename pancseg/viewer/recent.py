"""Keep the last few things that take long to make, such as scans."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Makes things one at a time and keeps the last; what is kept is given without waiting.

    Args:
        most: how many are kept; one is released before another is made.

    Example:
        >>> squares = Recent[int](most=2)
        >>> squares.get(3, lambda: 9), squares.get(3, lambda: 0)
        (9, 9)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._lock, self._making = Lock(), Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept under a key, or make it."""
        if (found := self._find(key)) is not None:
            return found
        with self._making:
            if (found := self._find(key)) is not None:  # made while this thread waited
                return found
            with self._lock:
                while len(self._kept) >= self._most:
                    self._kept.popitem(last=False)
            made = make()
            with self._lock:
                self._kept[key] = made
            return made

    def close(self) -> None:
        """Wait for what is being made, and make nothing any more: call this before the end.

        A thread that is still within a library's code when the interpreter ends aborts the process.
        """
        self._making.acquire()

    def _find(self, key: Hashable) -> T | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)
