"""Owns pseudonyms: ids that only the holder of a key can trace back, and the map for doing so.

Knows cases and the key's file; nothing about images, tables or what a terminal shows.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import hmac
import io
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pancseg.cohort.case import Case
from pancseg.errors import CohortError
from pancseg.system.whole_files import write_whole

MARK = Path(".pancseg", "pseudonyms")
"""Lies in an output folder in which all ids are pseudonyms."""
_BEAR_IDS = (
    "features.csv", "features.parquet", "masks.csv", "masks", "check.csv", "run.jsonl",
    ".pancseg/journal.jsonl",
)  # fmt: skip
"""What in an output folder holds ids, or is named by them."""
SHORTEST_KEY_BYTES = 16
_LONGEST_KEY_BYTES = 1 << 16
_DIGITS = 20
_MAP_HEADER = ("patient_id", "scan_id", "pseudonym_patient_id", "pseudonym_scan_id")


def pseudonymised(cases: Sequence[Case], key: bytes) -> list[Case]:
    """Return the cases, in their order, under pseudonyms; regions keep their names.

    A patient's pseudonym is ``p``, a scan's ``s``, and then the first 20 hexadecimal digits (80
    bits) of HMAC-SHA-256 over the id, composed (NFC) and in UTF-8, behind a word that says which of
    the two it is; an empty scan id stays empty. The same key gives the same pseudonym to the same
    id in every cohort. Among 10^6 ids the probability that any two share a pseudonym is
    n²/2 ÷ 2^80 = 4e-13; should they, the cohort is refused. The letter keeps programs from reading
    a number (``12e4…``).

    Args:
        cases: under their own ids.
        key: as from :func:`read_key`.

    Raises:
        CohortError: two ids of this cohort have one pseudonym.
    """
    patients = _pseudonyms((case.patient_id for case in cases), key, "patient")
    scans = _pseudonyms((case.scan_id for case in cases if case.scan_id), key, "scan")
    scans[""] = ""
    return [
        replace(case, patient_id=patients[case.patient_id], scan_id=scans[case.scan_id])
        for case in cases
    ]


def read_key(path: Path, out: Path | None) -> bytes:
    """Return a key file's bytes without line ends (CR, LF) at their end.

    So a key that was typed, pasted or saved by another editor stays the same key.

    Args:
        path: the key file; a pipe is read as well, once.
        out: the output folder, which the key must not lie in; it may not exist yet.

    Raises:
        ValueError: the key lies in the output, cannot be read, begins with a byte order mark, or is
            shorter than 16 bytes or longer than 64 KiB.
    """
    if out and _lies_in(path, out):
        raise ValueError("the key file lies in the output folder; keep it elsewhere")
    try:
        with path.open("rb") as file:
            key = file.read(_LONGEST_KEY_BYTES + 1)
    except OSError as error:
        raise ValueError(f"the key file cannot be read: {error.strerror}") from error
    if len(key) > _LONGEST_KEY_BYTES:
        raise ValueError(f"the key file is longer than {_LONGEST_KEY_BYTES} bytes; is it the key?")
    if _has_mark(key):
        raise ValueError(
            "the key file begins with a byte order mark, so it would be another key than without; "
            "save it as plain text (ANSI or UTF-8 without BOM), and choose another `out` if it was "
            "used so before"
        )
    key = key.rstrip(b"\r\n")
    if len(key) < SHORTEST_KEY_BYTES:
        raise ValueError(
            f"the key is {len(key)} bytes long, at least {SHORTEST_KEY_BYTES} are needed; "
            "'openssl rand -hex 32' makes one"
        )
    return key


def _has_mark(key: bytes) -> bool:
    """Whether an editor has put a byte order mark before a text; two random bytes are none."""
    if key.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return key.decode("utf-16").isascii()
        except UnicodeDecodeError:
            return False
    return key.startswith(codecs.BOM_UTF8)


def check_output(out: Path | None, *, pseudonyms: bool) -> None:
    """Refuse an output folder whose ids are of the other kind: one would tell the other.

    Masks, journal and log of an earlier run stay there, and a row's hashes are the same in both.

    Raises:
        ValueError: it holds a run under pseudonyms and ids shall be as they are, or the reverse.
    """
    if out is None:
        return
    if (out / MARK).exists():
        if not pseudonyms:
            raise ValueError(
                "the output folder holds a run under pseudonyms; "
                "give `pseudonymise`, or choose another `out`"
            )
        return
    if pseudonyms and any(_holds_something(out / name) for name in _BEAR_IDS):
        raise ValueError(
            "the output folder holds a run without `pseudonymise`, whose ids would stay in it; "
            "choose another `out`"
        )


def _holds_something(path: Path) -> bool:
    """Return whether there is more than a file that a run began and was killed."""
    return path.is_dir() or (path.exists() and path.stat().st_size > 0)


def mark_output(out: Path) -> None:
    """Note in an output folder that its ids are pseudonyms."""
    (out / MARK).parent.mkdir(parents=True, exist_ok=True)
    (out / MARK).touch()


def is_open_to_all(path: Path) -> bool:
    """Return whether every user of the machine may read a file (never on Windows)."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o004)


def check_map_path(path: Path, out: Path | None) -> None:
    """Refuse a place for the map before any work is done.

    Raises:
        ValueError: it lies in the output folder, or there is something there that is not a map.
    """
    if out and _lies_in(path, out):
        raise ValueError("the id map would lie in the output folder; keep it elsewhere")
    if not path.exists():
        return
    header = ",".join(_MAP_HEADER).encode()
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(header)) == header:
                return
    raise ValueError("the file to write the id map to is not an id map; choose another name")


def write_map(path: Path, cases: Sequence[Case], hidden: Sequence[Case]) -> None:
    """Write which id has which pseudonym, as CSV that only its owner can read (mode 0600).

    It appears whole or not at all; an earlier map there is replaced.

    Args:
        path: of the CSV; its folder exists.
        cases: under their own ids.
        hidden: the same cases in the same order, from :func:`pseudonymised`.

    Raises:
        OSError: it cannot be written.
    """
    pairs = zip(cases, hidden, strict=True)
    rows = dict.fromkeys((c.patient_id, c.scan_id, h.patient_id, h.scan_id) for c, h in pairs)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_MAP_HEADER, *rows])
    write_whole({path: _bytes(text.getvalue())}, private=True)


def _pseudonyms(ids: Iterable[str], key: bytes, what: str) -> dict[str, str]:
    """Return id → pseudonym; ids that differ in how they are composed are one id."""
    found = {text: _pseudonym(text, key, what) for text in dict.fromkeys(ids)}
    different = {unicodedata.normalize("NFC", text) for text in found}
    if (shared := len(different) - len(set(found.values()))) > 0:
        raise CohortError([f"{shared} pseudonyms stand for two {what} ids; take another key"])
    return found


def _pseudonym(text: str, key: bytes, what: str) -> str:
    message = f"pancseg {what} id\0".encode() + _bytes(unicodedata.normalize("NFC", text))
    return what[0] + hmac.new(key, message, hashlib.sha256).hexdigest()[:_DIGITS]


def _bytes(text: str) -> bytes:
    """Encode ids, also those from file names that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _lies_in(path: Path, folder: Path) -> bool:
    """Return whether a path, followed through links or not, is inside a folder."""
    inside = {path.absolute(), path.resolve()}
    if any(p.is_relative_to(f) for p in inside for f in (folder.absolute(), folder.resolve())):
        return True
    parents = path.resolve().parents
    return folder.exists() and any(p.exists() and p.samefile(folder) for p in parents)
