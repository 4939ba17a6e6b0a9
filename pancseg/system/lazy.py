"""A value that several users share and that is made only once, when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from pancseg.errors import UnusableCase

T = TypeVar("T")


class Lazy(Generic[T]):
    """A value that is made on first use; if making it fails, every later use raises that error.

    >>> numbers = Lazy(lambda: list(range(3)))
    >>> numbers.get() is numbers.get()
    True
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make: Callable[[], T] | None = make
        self._made: T | None = None
        self._error: Exception | None = None

    def get(self) -> T:
        """Return the value, or raise what making it raised."""
        if self._make:
            try:
                self._made = self._make()
            except Exception as error:  # noqa: BLE001 - raised below, now and on later calls
                self._error = error
            self._make = None
        if isinstance(self._error, UnusableCase):
            raise UnusableCase(self._error.code, self._error.fact) from self._error
        if self._error:
            raise self._error
        made: T = self._made  # type: ignore[assignment]
        return made

    def value(self) -> T | None:
        """Return the value; None when it cannot be made."""
        try:
            return self.get()
        except Exception:  # noqa: BLE001 - ``get`` raises it
            return None
