"""The lines of a journal: a JSON object each, which ends in a hash of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, get_args

from pancseg.processing.evidence import Status
from pancseg.system.json_file import parse_json

_HASH = b', "hash": "'
"""Begins the end of a line: the hash of everything before it."""
MASK = b'{"mask": '
"""Begins a line about a mask."""
_LONGEST_LINE_BYTES = 1 << 24
"""No row has so many values; a longer line is damage, and is never held in memory as a whole."""


def line_of(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line with its hash."""
    text = json.dumps(record, ensure_ascii=False, default=_plain).encode()[:-1]
    return text + _HASH + _hash_of(text) + b'"}\n'


def line_at(file: BinaryIO, offset: int) -> dict[str, Any] | None:
    """Return the record of the line at an offset; None if its hash does not fit."""
    file.seek(offset)
    return verified(file.readline(_LONGEST_LINE_BYTES))


def lines_of(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its offset; of a line that is too long, pieces that are no records."""
    offset = 0
    while line := file.readline(_LONGEST_LINE_BYTES):
        yield offset, line
        offset += len(line)


def _hash_of(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).hexdigest().encode()


def verified(line: bytes) -> dict[str, Any] | None:
    """Return the record of a line whose hash fits; None of any other."""
    text, _, end = line.removesuffix(b"\n").rpartition(_HASH)
    return _object(line) if end == _hash_of(text) + b'"}' else None


def of_earlier_version(line: bytes) -> dict[str, Any] | None:
    """Return a mask's record without a hash, as earlier versions of pancseg wrote it.

    Rows without a hash are made again; a mask that was forgotten would look like somebody else's.
    """
    found = _object(line) if line.startswith(MASK) else None
    return found if found and "hash" not in found and is_mask(found) else None


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = parse_json(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def is_mask(record: dict[str, Any]) -> bool:
    """Return whether a record says that a mask was made."""
    texts = [record.get(name) for name in ("mask", "digest", "key")]
    texts.append(record.get("scan", ""))  # not in the earliest version's lines
    agreement = record.get("looks_dice")  # not in earlier versions' lines
    known = agreement is None or isinstance(agreement, float)
    return known and all(isinstance(text, str) for text in texts) and "" not in texts[:2]


def is_row(record: dict[str, Any]) -> bool:
    """Return whether a record holds a row."""
    texts = [record.get(name) for name in ("row", "key", "reason", "fact")]
    known = record.get("status") in get_args(Status)
    return all(isinstance(text, str) for text in texts) and known and _has_values(record)


def is_again(record: dict[str, Any]) -> bool:
    """Return whether a record says that an earlier row is the last of its case again."""
    texts = [record.get(name) for name in ("again", "key", "manner")]
    return all(isinstance(text, str) for text in texts)


def is_acquisition(record: dict[str, Any]) -> bool:
    """Return whether a record holds the acquisition of a scan."""
    return isinstance(record.get("acquired"), str) and _has_values(record)


def _has_values(record: dict[str, Any]) -> bool:
    values = record.get("values")
    return isinstance(values, dict) and all(
        isinstance(value, str | int | float) for value in values.values()
    )


def _plain(number: Any) -> Any:
    """Return a NumPy scalar as a Python number, which JSON can hold."""
    return number.item()
