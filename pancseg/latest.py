"""Keeps what was made last, for rows that share it. Knows nothing about what it is."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from pancseg.unusable import UnusableCase

T = TypeVar("T")


class Latest(Generic[T]):
    """One value under one key: of a large thing there is never more than one in memory."""

    def __init__(self) -> None:
        self._key: Hashable = None
        self._found: T | UnusableCase | None = None

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` returned, or raise the ``UnusableCase`` that it raised, last time.

        It is called when the key is another one than last time, or when it ended by a bug.
        """
        found = self._found if key == self._key else None
        if found is None:
            self._found = None  # frees the memory before the next one is made
            self._key, self._found = key, (found := _made(make))
        if isinstance(found, UnusableCase):
            raise UnusableCase(found.code, found.fact)
        return found


def _made(make: Callable[[], T]) -> T | UnusableCase:
    try:
        return make()
    except UnusableCase as unusable:
        return unusable
