"""What a person sees of a run: a progress bar on a terminal, plain lines elsewhere, a summary."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pancseg.cohort import Outcome


@contextmanager
def progress(count: int, quiet: bool) -> Iterator[Callable[[Outcome], None]]:
    """Yield what is to be called with each outcome; it prints one line per case.

    Problems go to standard error, the rest to standard output. With ``quiet`` only problems.
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
        task = bar.add_task("patients", total=count)

        def report(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            bar.advance(task)
            bad = outcome.status != "pass"
            if bad or not quiet:
                line = f"[{done}/{count}] {_line(outcome)}"
                print(line, file=sys.stderr if bad else sys.stdout, flush=True)

        yield report


def _line(outcome: Outcome) -> str:
    name = outcome.case.name
    if outcome.status == "pass":
        return f"{name}: pass, {outcome.values['qc_volume_ml']:.1f} mL"
    return f"{name}: {outcome.status} ({outcome.reason}): {outcome.fact}"


def summary(outcomes: Sequence[Outcome], path: Path) -> str:
    """Return the closing lines: how many rows, what became of them and why, and where they are."""
    reasons = Counter(o.reason for o in outcomes if o.status != "pass")
    usable = len(outcomes) - sum(reasons.values())
    lines = [f"{len(outcomes)} rows in {path}: {usable} usable, {sum(reasons.values())} not"]
    lines += [f"  {reason}: {count}" for reason, count in reasons.most_common()]
    return "\n".join(lines)


@contextmanager
def output_errors() -> Iterator[None]:
    """Turn an output that cannot be written into one clear line and exit code 2."""
    try:
        yield
    except OSError as error:
        logging.getLogger(__name__).debug("stopped", exc_info=True)
        print(f"pancseg: the output cannot be written: {error.strerror or error}", file=sys.stderr)
        raise typer.Exit(2) from error


def log_to_terminal() -> None:
    """Send log records of pancseg, tracebacks included, to standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("pancseg").setLevel(logging.DEBUG)
