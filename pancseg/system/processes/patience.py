"""Wait for a call that may never return, such as one to an unreachable share, but not for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def answer_within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or raise what it raises.

    A call that is not over in time goes on in its thread, which does not keep the process alive.

    Raises:
        TimeoutError: the call was not over in time.

    Example:
        >>> answer_within(10, lambda: 1 + 1)
        2
    """
    outcome: SimpleQueue[tuple[bool, T | BaseException]] = SimpleQueue()

    def work() -> None:
        try:
            outcome.put((True, call()))
        except BaseException as error:  # noqa: BLE001  raised in the caller's thread
            outcome.put((False, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        returned, value = outcome.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if returned:
        return value  # type: ignore[return-value]
    assert isinstance(value, BaseException)
    raise value
