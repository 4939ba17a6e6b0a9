"""The bar of a run on a terminal: rows that are done, time left, and what every worker does."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from pancseg.running.progress import RunProgress
from pancseg.system.durations import rounded
from pancseg.system.stage import Stage

MOST_SCANS = 8
"""Scans that are shown; with more workers, the others are counted."""
SOON_S = 55.0


class RunBar(Progress):
    """A progress bar with a line for each scan in work.

    Args:
        quiet: show nothing.
        screen: the terminal; by default that of standard error.
    """

    def __init__(self, quiet: bool, screen: Console | None = None) -> None:
        screen = screen or Console(stderr=True)
        self._at_work: Mapping[str, Stage] = {}
        super().__init__(
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=screen,
            transient=True,
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
            disable=quiet or not screen.is_terminal,
        )

    def show(self, now: RunProgress) -> None:
        """Show the progress of a run."""
        self._at_work = now.at_work
        for task in self.task_ids:
            self.update(task, left=words_of(now.left_s))

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the bar, and the lines below it."""
        yield self.make_tasks_table(self.tasks)
        for line in lines_of(self._at_work):
            yield Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis")


def words_of(left_s: float | None) -> str:
    """Return the time that is left, in words; empty if it is not known, or if nothing is left."""
    if not left_s:
        return ""
    return f"about {rounded(left_s)} left" if left_s >= SOON_S else "less than a minute left"


def lines_of(at_work: Mapping[str, Stage]) -> list[str]:
    """Return a line for each scan in work.

    >>> lines_of({"P017": Stage("segment", 120, 280), "P018": Stage("features", 1, 1)})
    ['P017: segment 120 of 280 slices', 'P018: features']
    """
    shown = [f"{name}: {_words(stage)}" for name, stage in list(at_work.items())[:MOST_SCANS]]
    more = len(at_work) - len(shown)
    return [*shown, f"and {more} more"] if more else shown


def _words(stage: Stage) -> str:
    if stage.name in ("segment", "look again"):
        at = " at" if stage.name == "look again" else ""
        return f"{stage.name}{at} {stage.done} of {stage.total} slices"
    if stage.name == "features" and stage.total > 1:
        return f"features of region {stage.done} of {stage.total}"
    return stage.name
