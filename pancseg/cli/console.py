"""Print the course of a run: a progress bar on a terminal, and a line per case."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

import typer

from pancseg.cli.parameters import with_options

if TYPE_CHECKING:
    from rich.progress import Progress


_LONGEST_LINE = 1000
_OF_A_STREAM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
_lost: list[TextIO] = []
"""Standard output, once something could not be printed to it."""


@contextmanager
def progress_lines(
    count: int,
    quiet: bool,
    what: str,
    when_interrupted: str | Callable[[], str],
    bar: Progress | None = None,
) -> Iterator[Callable[[str, bool], None]]:
    """Yield a function that prints the line of each finished item and advances the progress bar.

    It takes the line and whether it is a problem. Problems are printed to standard error, other
    lines to standard output.

    Args:
        count: number of items.
        quiet: print problems only, and no bar.
        what: name of the items, shown beside the bar.
        when_interrupted: what becomes of finished items when the user stops the run, and how to
            resume, as the end of the message; a function where that changes on the way.
        bar: the bar; by default one that takes all items to last equally long.
    """
    done = 0
    bar = bar or _even_bar(quiet)
    with output_errors(), bar:
        task = bar.add_task(what, total=count, left="")

        def tell(line: str, problem: bool) -> None:
            nonlocal done
            done += 1
            bar.advance(task)
            if problem or not quiet:
                say(f"[{done}/{count}] {line}", sys.stderr if problem else sys.stdout)

        try:
            yield tell
        except KeyboardInterrupt:
            raise interrupted(done, count, when_interrupted) from None


def interrupted(done: int, count: int, outcome: str | Callable[[], str]) -> typer.Exit:
    """Say how far a command was when the user stopped it; return what ends it, to be raised.

    Args:
        done: number of finished items or steps.
        count: number of all.
        outcome: what becomes of the finished ones, and how to resume.
    """
    outcome = outcome if isinstance(outcome, str) else outcome()
    say(f"pancseg: interrupted after {done} of {count}; {outcome}", sys.stderr)
    return typer.Exit(130)


def _even_bar(quiet: bool) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    screen = Console(stderr=True)
    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        disable=quiet or not screen.is_terminal,
    )


def say(text: str, stream: TextIO | None) -> None:
    """Print a message of the library or the command, with options in place of parameters.

    A closed pipe, a full disk under the stream, or a terminal that cannot show a letter, does not
    stop the run. Lines to standard error are cut, as they may quote what somebody has typed.
    """
    text = with_options(text)
    if stream is sys.stderr:
        text = "\n".join(map(_cut, text.split("\n")))
    try:
        if stream is not None:
            _print(text, stream)
    except BrokenPipeError:  # of a program that has read enough, such as head
        _discard(stream)
    except (OSError, ValueError) as error:  # ValueError: the stream is closed
        if stream is sys.stdout:
            _not_printed(error)
        else:
            _discard(stream)


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:
        print(text.encode("ascii", "replace").decode(), file=stream, flush=True)


def _cut(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    half = _LONGEST_LINE // 2
    return f"{line[:half]} … {line[-half:]}"  # the fact is at the start, the remedy at the end


def _discard(stream: TextIO | None) -> None:
    """Send what is printed to a stream from now on, and what it still holds, to nowhere."""
    with suppress(AttributeError, OSError, ValueError):
        assert stream is not None
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def end_of(run: Callable[[], object]) -> None:
    """Run the command line; leave with exit code 2 if standard output could not be written.

    What a run writes to its output folder is whole all the same.
    """
    _lost.clear()
    code: object = 0
    try:
        run()
    except SystemExit as exit_:
        code = exit_.code
    except OSError as error:  # of a library's print, such as that of --help
        if error.filename is not None or error.errno not in _OF_A_STREAM:
            raise
        _not_printed(error)
    if (not _can_print() or _lost) and code in (0, None):
        code = 2
    raise SystemExit(code)


def output_fails() -> bool:
    """Return whether standard output takes nothing more: an empty line is tried."""
    try:
        if sys.stdout is not None:
            sys.stdout.write("\n")  # what failed before is no longer in the buffer
            sys.stdout.flush()
    except (OSError, ValueError):
        return True
    return False


def _can_print() -> bool:
    """Return whether standard output takes what was printed; if not, say so once."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
    except (OSError, ValueError) as error:
        _not_printed(error)
        return False
    return True


def _not_printed(error: OSError | ValueError) -> None:
    """Say once that standard output cannot be written, and print nothing more to it."""
    _discard(sys.stdout)
    if not _lost:
        _lost.append(sys.stdout)
        why = getattr(error, "strerror", error)
        say(f"pancseg: standard output cannot be written: {why}", sys.stderr)


class _Warnings(logging.Handler):
    """Prints the library's warnings as the commands print theirs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one warning."""
        say(f"pancseg: {record.getMessage()}", sys.stderr)


def show_warnings() -> None:
    """Print what pancseg's log has to say at level warning; the rest is for ``--verbose``."""
    log = logging.getLogger("pancseg")
    if not any(isinstance(handler, _Warnings) for handler in log.handlers):
        log.addHandler(_Warnings(logging.WARNING))


@contextmanager
def output_errors() -> Iterator[None]:
    """Report an output that cannot be written in one line, and leave with exit code 2."""
    try:
        yield
    except OSError as error:
        logging.getLogger(__name__).debug("stopped", exc_info=True)
        say(f"pancseg: the output cannot be written: {error.strerror or error}", sys.stderr)
        raise typer.Exit(2) from error
