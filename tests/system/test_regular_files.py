"""What never ends is refused at once, and a regular file is read up to a limit."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pancseg.system.regular_files import open_regular, read_regular


def test_a_regular_file_is_read_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("a.txt")
    assert read_regular(tmp_path / "link", most_bytes=5) == b"12345"
    with open_regular(str(tmp_path / "a.txt")) as file:
        assert file.read(2) == b"12"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(tmp_path / "a.txt", most_bytes=4)


def test_what_is_no_regular_file_is_refused_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    os.mkfifo("pipe")
    os.symlink("pipe", "link")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for name in ("pipe", "link", "socket", "/dev/zero", "/dev/tty"):
            with pytest.raises(OSError, match="not a regular file") as caught:
                open_regular(name)
            assert caught.value.filename is None
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular("gone")


def test_a_file_that_becomes_a_pipe_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"1")
    os.mkfifo(tmp_path / "pipe")
    before = os.stat(tmp_path / "file")
    monkeypatch.setattr("pancseg.system.regular_files.os.stat", lambda _: before)
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / "pipe")
