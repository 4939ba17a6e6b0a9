"""Read JSON that anybody may have written: it is refused in one way, whatever is wrong with it."""

from __future__ import annotations

import json
import os
from typing import Any

from pancseg.system.regular_files import MEBIBYTE, read_regular

LARGEST_BYTES = 32 * MEBIBYTE


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Python's own parser raises :class:`RecursionError` for lists within a thousand lists, which
    readers that expect a damaged file do not catch.

    Raises:
        ValueError: the text is not JSON, or is nested too deeply.

    Example:
        >>> parse_json('{"format": 5}')
        {'format': 5}
        >>> parse_json("[" * 100_000)
        Traceback (most recent call last):
        ValueError: the JSON is nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def read_json(path: str | os.PathLike[str], most_bytes: int = LARGEST_BYTES) -> Any:
    """Return the value in a JSON file, with or without a byte order mark.

    Args:
        path: the file, or a link to it.
        most_bytes: a longer file is refused.

    Raises:
        OSError: it cannot be read, is longer, or no regular file.
        ValueError: as :func:`parse_json`; or it is not UTF-8.
    """
    return parse_json(read_regular(path, most_bytes).decode("utf-8-sig"))
