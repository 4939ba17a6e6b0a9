"""Show pancseg's log on the terminal."""

from __future__ import annotations

import logging


def log_to_terminal() -> None:
    """Send log records of pancseg, tracebacks included, to standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("pancseg").setLevel(logging.DEBUG)
