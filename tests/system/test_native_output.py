"""Libraries are kept quiet, and nothing else is lost: in threads, forks, and without streams."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import SimpleITK as sitk

from pancseg.system.itk_warnings import quiet_itk
from pancseg.system.native_output import quiet_library, standard_error

posix = pytest.mark.skipif(os.name == "nt", reason="for POSIX")
OVERLAPPING = """\
import threading
from pancseg.system.native_output import quiet_library
entered, left = threading.Event(), threading.Event()
def first():
    with quiet_library():
        entered.set()
        second_is_in.wait()
    left.set()
def second():
    entered.wait()
    with quiet_library():
        second_is_in.set()
        left.wait()
second_is_in = threading.Event()
threads = [threading.Thread(target=f) for f in (first, second)]
for thread in threads: thread.start()
for thread in threads: thread.join()
raise KeyError("the user's own mistake")
"""
FORKED = """\
import os, sys
from pancseg.system.native_output import quiet_library
with quiet_library():
    child = os.fork()
    if not child:
        os.write(2, b"from the child")
        os._exit(0)
    os.waitpid(child, 0)
os.write(2, b" from the parent")
"""
CLOSED = """\
import os, sys
from pancseg.system.native_output import quiet_library, standard_error
file = open(sys.argv[1], "wb", buffering=0)
assert file.fileno() == 2
with quiet_library():
    file.write(b"the user's file")
with standard_error() as descriptor:
    assert descriptor is None
"""


def _run(code: str, *words: str | Path, closed: str = "") -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True)


@posix
def test_after_overlapping_reads_tracebacks_are_seen() -> None:
    assert 'KeyError: "the user\'s own mistake"' in _run(OVERLAPPING).stderr


@posix
def test_a_process_forked_meanwhile_has_its_standard_error() -> None:
    assert _run(FORKED).stderr == "from the child from the parent"


@posix
def test_a_file_that_got_the_closed_descriptor_is_left_alone(tmp_path: Path) -> None:
    done = _run(CLOSED, tmp_path / "file", closed="2>&-")
    assert done.returncode == 0
    assert (tmp_path / "file").read_text() == "the user's file"


def test_without_python_streams_nothing_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with quiet_library():
        pass
    monkeypatch.setattr(sys, "__stderr__", None)
    with quiet_library(), standard_error() as descriptor:
        assert descriptor is None


def test_a_new_process_gets_standard_error_while_it_is_quiet_here(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with quiet_library(), standard_error() as descriptor:
        os.write(2, b"a library's words")
        assert descriptor is not None
        os.write(descriptor, b"a worker's words")
    assert capfd.readouterr().err == "a worker's words"


def test_overlapping_reads_leave_itk_as_it_was() -> None:
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(True)
    entered, left = threading.Event(), threading.Event()
    inside = threading.Event()

    def first() -> None:
        with quiet_itk():
            entered.set()
            inside.wait(10)
        left.set()

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(10)
    with quiet_itk():
        inside.set()
        left.wait(10)
        assert not sitk.ProcessObject.GetGlobalWarningDisplay()
    thread.join()
    assert sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(before)


@posix
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_with_closed_streams_makes_the_same_rows(
    closed: str, workers: str, cohort: Path, tmp_path: Path
) -> None:
    one = tmp_path / "cohort.csv"
    rows = cohort.read_text().splitlines()[:2]
    one.write_text("\n".join(rows).replace("scans/", f"{cohort.parent}/scans/"))
    words = ["extract", str(one), "--config", str(cohort.parent / "quick.yaml"), "--verbose"]
    words += ["--workers", workers, "--out", str(tmp_path / "out")]
    code = "import sys; from pancseg.__main__ import main; sys.argv[0] = 'pancseg'; main()"
    assert _run(code, *words, closed=closed).returncode == 0
    assert ",pass," in (tmp_path / "out" / "features.csv").read_text()
