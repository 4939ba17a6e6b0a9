"""Owns writing: files appear whole or not at all. Knows nothing about what is in them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def write_whole(files: Mapping[Path, bytes]) -> None:
    """Write all files under temporary names, then give them their names, in the order given.

    When one cannot be written none is replaced, and nothing is left behind.

    Raises:
        OSError: disk full, no permission, no such folder.
    """
    partial = {path: path.with_name(f".{path.name}.{os.getpid()}.partial") for path in files}
    try:
        for path, content in files.items():
            partial[path].write_bytes(content)
        for path in files:
            os.replace(partial[path], path)
    finally:
        for left in partial.values():
            left.unlink(missing_ok=True)
