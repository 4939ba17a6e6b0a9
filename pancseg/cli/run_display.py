"""Show the course of a run: a line per row, a bar on a terminal, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pancseg.cli.console import progress_lines

if TYPE_CHECKING:
    from pancseg.cli.run_bar import RunBar
    from pancseg.processing.row import CaseResult
    from pancseg.running.progress import RunProgress

RESUMED = "finished scans are kept; run the same command again to resume"
_LEFT_EVERY_S = 60.0
"""Where there is no bar, the time left is said so often, at the end of a line."""


class RunDisplay:
    """Shows results and progress of a run.

    Args:
        tell: prints a line, and whether it is a problem, and advances the bar.
        bar: the bar.
        says_left: say in the lines how long the run will take, as no bar says it.
        clock: returns seconds.
    """

    def __init__(
        self,
        tell: Callable[[str, bool], None],
        bar: RunBar,
        says_left: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell, self._bar, self._clock = tell, bar, clock
        self._says_left = says_left
        self._left_s: float | None = None
        self._said_s = -_LEFT_EVERY_S

    def report(self, result: CaseResult) -> None:
        """Print the line of a row."""
        self._tell(_line(result) + self._left(), result.status != "pass")

    def watch(self, now: RunProgress) -> None:
        """Show the progress."""
        self._left_s = now.left_s
        self._bar.show(now)

    def _left(self) -> str:
        """Return the time left, for the end of a line; empty if it was said within a minute."""
        now, left_s = self._clock(), self._left_s
        if not self._says_left or left_s is None or left_s <= _LEFT_EVERY_S:
            return ""
        if now - self._said_s < _LEFT_EVERY_S:
            return ""
        from pancseg.cli.run_bar import words_of

        self._said_s = now
        return f" ({words_of(left_s)})"


@contextmanager
def run_display(count: int, quiet: bool, when_interrupted: str = RESUMED) -> Iterator[RunDisplay]:
    """Yield what shows a run over a cohort of ``count`` cases.

    Args:
        count: number of rows.
        quiet: print problems only, and no bar.
        when_interrupted: what becomes of finished scans when the user stops the run.
    """
    from pancseg.cli.run_bar import RunBar

    bar = RunBar(quiet)
    with progress_lines(count, quiet, "patients", when_interrupted, bar) as tell:
        yield RunDisplay(tell, bar, says_left=bar.disable and not quiet)


def _line(result: CaseResult) -> str:
    name = result.case.name
    if result.status == "pass":
        volume = result.values.get("qc_volume_ml")
        return f"{name}: pass" + (f", {volume:.1f} mL" if isinstance(volume, float) else "")
    return f"{name}: {result.status} ({result.reason}): {result.fact}"
