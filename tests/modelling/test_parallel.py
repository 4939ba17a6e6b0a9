"""Folds in several processes: in order, without temporary files, and in one line when one dies."""

import errno
import os
import signal
import tempfile

import numpy as np
import pandas as pd
import pytest
from command_line import call
from joblib import delayed
from small_studies import classes, features, study

from pancseg.cli.errors import usage_errors
from pancseg.errors import ProcessDied
from pancseg.modelling.cross_validation import nested_cv, parallel
from pancseg.modelling.cross_validation.parallel import in_processes


def test_results_come_in_order_and_large_arrays_without_files(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null/none")
    monkeypatch.setenv("JOBLIB_TEMP_FOLDER", "/dev/null/none")
    big = [np.full(400_000, n) for n in range(4)]  # 3 MB each
    assert list(in_processes((delayed(np.sum)(x) for x in big), 2)) == [0, 4e5, 8e5, 12e5]


def test_a_killed_process_is_told_in_one_line():
    jobs = [delayed(abs)(-1), delayed(signal.raise_signal)(signal.SIGKILL)]
    with pytest.raises(ProcessDied, match=r"a process that fits models died, .*; use fewer `worke"):
        list(in_processes(iter(jobs), 2))
    assert list(in_processes([delayed(abs)(-1)] * 3, 2)) == [1, 1, 1]  # new processes are started


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "the temporary folder or the shared memory is full"),
        (errno.EAGAIN, "the system starts no more processes"),
        (errno.EMFILE, "use fewer --workers"),
    ],
)
def test_no_room_and_no_processes_are_told_with_exit_code_2(number, line, monkeypatch, capsys):
    def fails(**_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(parallel, "Parallel", fails)
    x = features(0)
    with pytest.raises(Exception) as ended, usage_errors(False):  # noqa: PT011
        nested_cv.validate(study(x, classes(x, 2.0, 0)), workers=2)
    assert ended.value.exit_code == 2
    assert line in capsys.readouterr().err


def test_another_error_of_a_file_stays_what_it_is():
    with pytest.raises(FileNotFoundError):
        list(in_processes([delayed(os.stat)("/none")], 1))


def test_the_command_ends_with_one_line_and_code_2(tmp_path, monkeypatch):
    x = features(0, n=60, p=3)
    ids = [f"P{n}" for n in range(60)]
    pd.DataFrame(x, index=pd.Index(ids, name="id"), columns=list("abc")).to_csv(tmp_path / "f.csv")
    label = pd.Series(classes(x, 2.0, 0), index=pd.Index(ids, name="id"), name="g")
    label.to_csv(tmp_path / "c.csv")
    monkeypatch.setattr(nested_cv, "_outer_fold", kill_this_process)
    words = ["model", "subtype", tmp_path / "f.csv", "--outcome", tmp_path / "c.csv", "--label"]
    code, _, err = call(*words, "g", "--workers", "2", "--canary", "0", "--out", tmp_path / "out")
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert code == 2
    assert lines == [
        "pancseg: a process that fits models died, probably for lack of memory; use fewer --workers"
    ]


def kill_this_process(*_):
    signal.raise_signal(signal.SIGKILL)
