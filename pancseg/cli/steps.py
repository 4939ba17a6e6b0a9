"""Show how far a command of several unequal steps has come, and how long it will still take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from pancseg.cli.console import interrupted, say

if TYPE_CHECKING:
    from rich.console import Console

_SAY_EVERY_S = 30.0
"""Where there is no terminal, a line says so often how far the command is."""

Work = Sequence[float] | Callable[[], Sequence[float]]


class StepsLeft:
    """Estimates the time that is left from the work of the steps that are done.

    Args:
        work: of each step in its turn, in any unit; a function where that changes on the way.
        clock: returns seconds.

    Example:
        >>> seconds = iter([0.0, 10.0])
        >>> left = StepsLeft([1, 1, 3], clock=lambda: next(seconds))
        >>> left.end()
        >>> left.seconds
        40.0
    """

    def __init__(self, work: Work, clock: Callable[[], float] = time.monotonic) -> None:
        self._work, self._clock = work, clock
        self._began_s = clock()
        self.done = 0
        self.seconds: float | None = None

    @property
    def work(self) -> Sequence[float]:
        """The work of each step, as it is known now."""
        return self._work() if callable(self._work) else self._work

    @property
    def total(self) -> int:
        """The number of steps."""
        return len(self.work)

    def end(self) -> None:
        """Note that a step is done."""
        work = self.work
        self.done = min(self.done + 1, len(work))
        made, left = sum(work[: self.done]), sum(work[self.done :])
        self.seconds = (self._clock() - self._began_s) / made * left if made else None


class Tell(Protocol):
    """Is told of each step."""

    def __call__(self, step: str, done: bool = True) -> None:
        """Show a step.

        Args:
            step: its name.
            done: whether it is done; otherwise it has just begun.
        """


@contextmanager
def show_steps(
    work: Work,
    quiet: bool,
    what: str,
    when_interrupted: str | Callable[[], str],
    *,
    screen: Console | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Tell]:
    """Yield a function that is told of each step once it is done, and shows the time left.

    A step that is silent until its end, such as writing a report, can be told when it begins.

    On a terminal there is a bar. Otherwise standard error gets a line after the first step, and
    again twice a minute.

    Args:
        work: of each step in its turn, in any unit; what is told of beyond them needs no time. A
            function where that changes on the way.
        quiet: show nothing.
        what: name of the steps, shown beside the bar.
        when_interrupted: what becomes of finished steps when the user stops the command; a function
            where that changes on the way.
        screen: the terminal; by default that of standard error.
        clock: returns seconds.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from pancseg.cli.run_bar import words_of

    screen = screen or Console(stderr=True)
    plain = not screen.is_terminal
    left = StepsLeft(work, clock)
    said_s: float | None = None
    bar = Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[step]}", style="dim"),
        console=screen,
        transient=True,
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        disable=quiet or plain,
    )
    with bar:
        task = bar.add_task(what, total=left.total, left="", step="")

        def tell(step: str, done: bool = True) -> None:
            nonlocal said_s
            if done:
                left.end()
            words = words_of(left.seconds)
            bar.update(task, completed=left.done, total=left.total, left=words, step=step)
            now_s = clock()
            if quiet or not plain or (said_s is not None and now_s - said_s < _SAY_EVERY_S):
                return
            said_s = now_s
            parts = (f"{left.done} of {left.total} {what}", words, step)
            say(", ".join(part for part in parts if part), sys.stderr)

        try:
            yield tell
        except KeyboardInterrupt:
            raise interrupted(left.done, left.total, when_interrupted) from None
