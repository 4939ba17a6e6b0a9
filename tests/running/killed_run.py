"""A command that kills itself: ``killed_run.py ROWS WORDS...``, once it has recorded those rows."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from pancseg.cli import app
from pancseg.running.journal import Journal

KEPT_ROW = Journal.add_row


def add_row(self: Journal, *given: Any, **named: Any) -> Any:
    found = KEPT_ROW(self, *given, **named)
    rows.pop()
    if not rows:
        os.kill(os.getpid(), signal.SIGKILL)
    return found


if __name__ == "__main__":
    rows = list(range(int(sys.argv.pop(1))))
    Journal.add_row = add_row  # type: ignore[method-assign]
    app()
