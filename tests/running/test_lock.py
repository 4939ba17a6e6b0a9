"""One run at a time into a folder; a run that was killed holds nothing."""

from __future__ import annotations

import errno
import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pancseg import RunOptions, RunRefused, load_feature_settings, read_cohort
from pancseg.cohort.discovery import STATE_FOLDER
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.running.lock import locked

HOLD = "import sys,time; from pathlib import Path; from pancseg.running.lock import locked\n"
HOLD += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"


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


def test_a_second_run_starts_no_workers(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pancseg.pipeline.cohort_run.executor_for", lambda *_: pytest.fail("workers were started")
    )
    work = ProcessingPlan("extract", load_feature_settings(cohort.parent / "quick.yaml"))
    with locked(tmp_path / STATE_FOLDER), pytest.raises(RunRefused, match="another run is writing"):
        run_plan(read_cohort(cohort), tmp_path, work)


def test_a_run_that_is_refused_leaves_no_folder(cohort: Path, tmp_path: Path) -> None:
    settings = load_feature_settings(cohort.parent / "quick.yaml")
    work = ProcessingPlan("run", settings, "no_such_weights")
    here = RunOptions(workers=0)
    with pytest.raises(RunRefused):
        run_plan(read_cohort(cohort), tmp_path / "new" / "out", work, options=here)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "notes.txt").write_text("mine")
    with pytest.raises(RunRefused):
        run_plan(read_cohort(cohort), tmp_path / "old", work, options=here)
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_is_told_and_no_marker_stays(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(number, "not here")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with pytest.raises(OSError, match="does not support locks; choose an `out`"), locked(tmp_path):
        pass
    monkeypatch.undo()
    with locked(tmp_path):  # as after a run on another machine
        pass
