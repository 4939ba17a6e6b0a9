"""Print the course of a run: a progress bar on a terminal, a line per case, and a summary."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

from pancseg.cli.parameters import with_options

if TYPE_CHECKING:
    from pancseg.processing.row import CaseResult

_MOST_REASONS = 12
_SLOW_S = 1.0


@contextmanager
def progress(
    count: int,
    quiet: bool,
    when_interrupted: str = "finished scans are kept; run the same command again to resume",
) -> Iterator[Callable[[CaseResult], None]]:
    """Yield a function that prints the line of a result; for a cohort of ``count`` cases."""
    with progress_lines(count, quiet, "patients", when_interrupted) as tell:
        yield lambda result: tell(_line(result), result.status != "pass")


@contextmanager
def progress_lines(
    count: int, quiet: bool, what: str, when_interrupted: str
) -> Iterator[Callable[[str, bool], None]]:
    """Yield a function that prints the line of each finished item and advances the progress bar.

    It takes the line and whether it is a problem. Problems are printed to standard error, other
    lines to standard output.

    Args:
        count: number of items.
        quiet: print problems only, and no bar.
        what: name of the items, shown beside the bar.
        when_interrupted: what becomes of finished items when the user stops the run, and how to
            resume; the end of the message.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    done = 0
    screen = Console(stderr=True)
    bar = Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        disable=quiet or not screen.is_terminal,
    )
    with output_errors(), bar:
        task = bar.add_task(what, total=count)

        def tell(line: str, problem: bool) -> None:
            nonlocal done
            done += 1
            bar.advance(task)
            if problem or not quiet:
                say(f"[{done}/{count}] {line}", sys.stderr if problem else sys.stdout)

        try:
            yield tell
        except KeyboardInterrupt:
            say(f"pancseg: interrupted after {done} of {count}; {when_interrupted}", sys.stderr)
            raise typer.Exit(130) from None


def say(line: str, stream: TextIO) -> None:
    """Print a message of the library or the command, with options in place of parameters.

    A closed pipe, or a terminal that cannot show a letter, does not stop the run.
    """
    line = with_options(line)
    try:
        print(line, file=stream, flush=True)
    except UnicodeEncodeError:
        print(line.encode("ascii", "replace").decode(), file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _line(result: CaseResult) -> str:
    name = result.case.name
    if result.status == "pass":
        volume = result.values.get("qc_volume_ml")
        return f"{name}: pass" + (f", {volume:.1f} mL" if isinstance(volume, float) else "")
    return f"{name}: {result.status} ({result.reason}): {result.fact}"


def summary(results: Sequence[CaseResult], path: Path | None, log: Path | None = None) -> str:
    """Return the closing lines: the number of rows and of usable ones, and the reasons.

    Args:
        results: one per row.
        path: the table; only its name is shown, as its folder may be named after a patient.
        log: log of the run, for the number of unchanged rows, the slowest scans and the stages.
    """
    reasons = Counter(code for result in results for code in result.reason.split(";") if code)
    usable = sum(result.usable for result in results)
    rows = "1 row" if len(results) == 1 else f"{len(results)} rows"
    where = f" in {path.name}" if path else ""
    lines = [f"{rows}{where}: {usable} usable, {len(results) - usable} not usable"]
    lines += [f"  {reason}: {count}" for reason, count in reasons.most_common(_MOST_REASONS)]
    if len(reasons) > _MOST_REASONS:
        lines.append(f"  and {len(reasons) - _MOST_REASONS} other reasons")
    return "\n".join([*lines, *(_account(log) if log else [])])


def _account(log: Path) -> list[str]:
    from pancseg.running.run_log import account_of

    reused, slowest, shares = account_of(log)
    lines = [f"rows unchanged since an earlier run: {reused}"] if reused else []
    if slowest and slowest[0][0] >= _SLOW_S:
        lines.append("slowest: " + ", ".join(f"{name} {spent:.1f} s" for spent, name in slowest))
    if shares:
        where = ", ".join(f"{stage} {share:.0%}" for stage, share in shares if share >= 0.05)
        lines.append(f"share of the time: {where}")
    return lines


@contextmanager
def output_errors() -> Iterator[None]:
    """Report an output that cannot be written in one line, and leave with exit code 2."""
    try:
        yield
    except OSError as error:
        logging.getLogger(__name__).debug("stopped", exc_info=True)
        say(f"pancseg: the output cannot be written: {error.strerror or error}", sys.stderr)
        raise typer.Exit(2) from error
