"""Where log records go when somebody wants to see them."""

from __future__ import annotations

import logging


def log_to_terminal() -> None:
    """Send log records of pancseg, tracebacks included, to standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("pancseg").setLevel(logging.DEBUG)
