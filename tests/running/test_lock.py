"""One run at a time into a folder; a run that was killed holds nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pancseg.running.lock import locked

HOLD = "import sys,time; from pathlib import Path; from pancseg.running.lock import locked\n"
HOLD += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def test_a_second_run_is_refused_until_the_first_has_ended_or_was_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="another run is writing"), locked(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
    for _ in range(2):
        with locked(tmp_path):
            pass
