"""What a person sees of a run: a progress bar on a terminal, plain lines elsewhere, a summary."""

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
    when_interrupted: str = "what is finished is kept; the same command goes on from here",
) -> Iterator[Callable[[CaseResult], None]]:
    """Yield what is to be called with each outcome of a cohort; it prints one line per case."""
    with progress_lines(count, quiet, "patients", when_interrupted) as tell:
        yield lambda outcome: tell(_line(outcome), outcome.status != "pass")


@contextmanager
def progress_lines(
    count: int, quiet: bool, what: str, when_interrupted: str
) -> Iterator[Callable[[str, bool], None]]:
    """Yield what is to be called with each finished piece's line and whether it is a problem.

    Problems go to standard error, the rest to standard output. With ``quiet`` only problems.

    Args:
        count: how many pieces there are.
        quiet: print problems only.
        what: what is counted, beside the bar.
        when_interrupted: what is left on disk when the user stops the run.
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
    """Print what the library or the command says, with options in place of parameters.

    A reader that went away, or cannot show a letter, does not stop the run.
    """
    line = with_options(line)
    try:
        print(line, file=stream, flush=True)
    except UnicodeEncodeError:
        print(line.encode("ascii", "replace").decode(), file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _line(outcome: CaseResult) -> str:
    name = outcome.case.name
    if outcome.status == "pass":
        volume = outcome.values.get("qc_volume_ml")
        return f"{name}: pass" + (f", {volume:.1f} mL" if isinstance(volume, float) else "")
    return f"{name}: {outcome.status} ({outcome.reason}): {outcome.fact}"


def summary(outcomes: Sequence[CaseResult], path: Path | None, log: Path | None = None) -> str:
    """Return the closing lines: how many rows, what became of them and why, in which file.

    Its folder may bear somebody's name; whoever named it knows it. A run's log adds what was there
    already, the slowest scans and where the time went.
    """
    reasons = Counter(code for o in outcomes for code in o.reason.split(";") if code)
    usable = sum(o.usable for o in outcomes)
    rows = "1 row" if len(outcomes) == 1 else f"{len(outcomes)} rows"
    where = f" in {path.name}" if path else ""
    lines = [f"{rows}{where}: {usable} usable, {len(outcomes) - usable} not"]
    lines += [f"  {reason}: {count}" for reason, count in reasons.most_common(_MOST_REASONS)]
    if len(reasons) > _MOST_REASONS:
        lines.append(f"  and {len(reasons) - _MOST_REASONS} other reasons")
    return "\n".join([*lines, *(_account(log) if log else [])])


def _account(log: Path) -> list[str]:
    from pancseg.running.run_log import account_of

    reused, slowest, shares = account_of(log)
    lines = [f"unchanged since an earlier run: {reused}"] if reused else []
    if slowest and slowest[0][0] >= _SLOW_S:
        lines.append("slowest: " + ", ".join(f"{name} {spent:.1f} s" for spent, name in slowest))
    if shares:
        where = ", ".join(f"{stage} {share:.0%}" for stage, share in shares if share >= 0.05)
        lines.append(f"time: {where}")
    return lines


@contextmanager
def output_errors() -> Iterator[None]:
    """Turn an output that cannot be written into one clear line and exit code 2."""
    try:
        yield
    except OSError as error:
        logging.getLogger(__name__).debug("stopped", exc_info=True)
        say(f"pancseg: the output cannot be written: {error.strerror or error}", sys.stderr)
        raise typer.Exit(2) from error
