"""A progress bar over a loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


def track(things: Iterable[T], what: str, *, shown: bool) -> Iterator[T]:
    """Yield the things in turn, with a progress bar on standard error if it is to be shown.

    Args:
        things: walked once; the bar shows an end where their number is known.
        what: the text beside the bar.
        shown: without it nothing is printed, and rich is not imported.

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
