"""What the user can mend before the work begins becomes clear lines and exit code 2."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import typer

from pancseg.console import log_to_terminal, say


@contextmanager
def usage_errors(verbose: bool) -> Iterator[None]:
    """Turn what the user can mend before the work begins into clear lines and exit code 2."""
    from pancseg.case import CohortError

    if verbose:
        log_to_terminal()
    try:
        yield
    except CohortError as error:
        _refuse([f"cohort: {problem}" for problem in error.problems])
    except (OSError, ValueError) as error:
        logging.getLogger(__name__).debug("refused", exc_info=True)
        reason = error.strerror if isinstance(error, OSError) else None
        _refuse([f"a file cannot be reached: {reason}" if reason else str(error)])


def _refuse(lines: Sequence[str]) -> NoReturn:
    for line in lines:
        say(f"pancseg: {line}", sys.stderr)
    raise typer.Exit(2)
