"""A command that kills itself: ``killed_writing.py N WORDS...``, at the N-th operation on files."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from faulty_files import FaultyFiles

from pancseg.cli import app


class KillingFiles(FaultyFiles):
    """The operation that would fail is the last of this process."""

    def fails(self, kind: str, path: Path) -> bool:
        if super().fails(kind, path):
            os.kill(os.getpid(), signal.SIGKILL)
        return False


if __name__ == "__main__":
    KillingFiles(int(sys.argv.pop(1))).install(pytest.MonkeyPatch())
    app()
