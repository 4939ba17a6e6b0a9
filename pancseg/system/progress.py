"""A progress bar over a loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


def track(things: Iterable[T], what: str, *, shown: bool) -> Iterator[T]:
    """Yield the things in turn, with or without a progress bar on standard error.

    Args:
        things: iterated once; the bar shows the remaining time if their number is known.
        what: text beside the bar.
        shown: whether to show the bar; if not, rich is not imported.

    Example:
        >>> list(track("ab", "spelling", shown=False))
        ['a', 'b']
    """
    if not shown:
        yield from things
        return
    from rich.console import Console
    from rich.progress import track as with_bar

    total = len(things) if isinstance(things, Sized) else None
    yield from with_bar(things, what, total=total, console=Console(stderr=True))
