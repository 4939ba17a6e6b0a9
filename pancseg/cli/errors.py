"""Report errors that the user can correct before a run starts, and leave with exit code 2."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import NoReturn

import typer

from pancseg.cli.console import say, show_warnings
from pancseg.cli.failures import lacking
from pancseg.system.logs import log_to_terminal


@contextmanager
def usage_errors(verbose: bool) -> Iterator[None]:
    """Report errors in the block in plain lines, and leave with exit code 2.

    Args:
        verbose: print tracebacks too.
    """
    from pancseg.errors import CohortError, ProcessDied

    if verbose:
        log_to_terminal()
    else:
        show_warnings()
    try:
        yield
    except CohortError as error:
        refuse([f"cohort: {problem}" for problem in error.problems])
    except ProcessDied as error:
        refuse([str(error)])
    except (OSError, ValueError) as error:
        logging.getLogger(__name__).debug("refused", exc_info=True)
        if fact := lacking(error):
            refuse([fact])
        reason = error.strerror if isinstance(error, OSError) else None
        refuse([f"a file cannot be reached: {reason}" if reason else str(error)])


def need(command: str, packages: Sequence[str], extra: str) -> None:
    """Refuse a command whose packages are not installed.

    Raises:
        ValueError: a package is missing; the message names it and the extra that installs it.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"{command} needs {', '.join(missing)}; install with pip install 'pancseg[{extra}]'"
        )


def refuse(lines: Sequence[str]) -> NoReturn:
    """Print lines to standard error and leave with exit code 2."""
    for line in lines:
        say(f"pancseg: {line}", sys.stderr)
    raise typer.Exit(2)
