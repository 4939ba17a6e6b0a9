"""JSON from anywhere is refused in one way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pancseg.system.json_file import parse_json, read_json

DEEP = "[" * 100_000


def test_what_is_no_json_is_a_value_error() -> None:
    for text in ("", "{", DEEP, '{"a": ' * 50_000, b"\xff\xfe", "9" * 5_000):
        with pytest.raises(ValueError, match=r"^."):
            parse_json(text)


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"labels": {"pancreas": 1}}')
    assert read_json(path) == {"labels": {"pancreas": 1}}


def test_pipes_and_long_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1, 2]")
    with pytest.raises(OSError, match="larger than 5 bytes"):
        read_json(path, most_bytes=5)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(OSError, match="not a regular file"):
        read_json(tmp_path / "pipe.json")
