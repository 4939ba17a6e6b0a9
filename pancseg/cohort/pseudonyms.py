"""Replace ids by pseudonyms that only the holder of a key can trace back, and write the id map."""

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
"""Marker file in an output folder in which all ids are pseudonyms."""
_WITH_IDS = (
    "features.csv", "features.parquet", "features_wide.csv", "features_wide.parquet", "masks.csv",
    "masks", "check.csv", "run.jsonl", ".pancseg/journal.jsonl",
)  # fmt: skip
"""Entries of an output folder that contain ids, or files named after them."""
SHORTEST_KEY_BYTES = 16
_LONGEST_KEY_BYTES = 1 << 16
_DIGITS = 20
_REASON_DIGITS = 9
_MAP_HEADER = ("patient_id", "scan_id", "pseudonym_patient_id", "pseudonym_scan_id")


def pseudonymised(cases: Sequence[Case], key: bytes) -> list[Case]:
    """Return the cases, in their order, under pseudonyms; regions keep their names.

    Further columns of a manifest are left out, as they may name patients; of the reason for which a
    mask is accepted, a pseudonym is left, by which a new reason differs from an earlier one.

    A pseudonym is a letter (``p`` for a patient, ``s`` for a scan, ``r`` for a reader) and the
    first 20 hexadecimal digits (80 bits) of an HMAC-SHA-256. The HMAC is taken over a prefix for
    patient, scan or reader and the id, composed (NFC) and in UTF-8. The letter keeps programs from
    reading a pseudonym as a number (``12e4…``). An empty scan id or reader stays empty.

    With one key, an id has the same pseudonym in every cohort. Among 10^6 ids the probability that
    any two share a pseudonym is n²/2 ÷ 2^80 = 4e-13; if it happens, the cohort is refused.

    Args:
        cases: cases under their real ids.
        key: the key, as :func:`read_key` returns it.

    Raises:
        CohortError: two ids of this cohort have the same pseudonym.
    """
    patients = _pseudonyms((case.patient_id for case in cases), key, "patient")
    scans = _pseudonyms((case.scan_id for case in cases if case.scan_id), key, "scan")
    readers = _pseudonyms((case.reader for case in cases if case.reader), key, "reader")
    scans[""] = readers[""] = ""
    return [
        replace(
            case,
            patient_id=patients[case.patient_id],
            scan_id=scans[case.scan_id],
            reader=readers[case.reader],
            accept=_hidden_reason(case.accept, key),
            extra=(),
        )
        for case in cases
    ]


def read_key(path: Path, out: Path | None) -> bytes:
    """Return a key file's bytes without trailing line ends (CR, LF).

    Line ends are dropped so that a key stays the same when it is typed, pasted or saved by another
    editor.

    Args:
        path: the key file; may be a pipe, which is read once.
        out: the output folder, which must not contain the key; it may not exist yet.

    Raises:
        ValueError: the key is in the output folder, cannot be read, begins with a byte order mark,
            or is shorter than 16 bytes or longer than 64 KiB.
    """
    if out and _is_inside(path, out):
        raise ValueError("the key file is in the output folder; keep it elsewhere")
    try:
        with path.open("rb") as file:
            key = file.read(_LONGEST_KEY_BYTES + 1)
    except OSError as error:
        raise ValueError(f"the key file cannot be read: {error.strerror}") from error
    if len(key) > _LONGEST_KEY_BYTES:
        raise ValueError(f"the key file is longer than {_LONGEST_KEY_BYTES} bytes; is it the key?")
    if _has_byte_order_mark(key):
        raise ValueError(
            "the key file begins with a byte order mark, which would change the key; save it as "
            "plain text (ANSI, or UTF-8 without BOM), and choose another `out` if this file was "
            "the key of an earlier run"
        )
    key = key.rstrip(b"\r\n")
    if len(key) < SHORTEST_KEY_BYTES:
        raise ValueError(
            f"the key is {len(key)} bytes long (at least {SHORTEST_KEY_BYTES}); "
            "'openssl rand -hex 32' makes one"
        )
    return key


def _has_byte_order_mark(key: bytes) -> bool:
    """Return whether a key is text that an editor saved with a byte order mark.

    A random key may begin with the two bytes of a UTF-16 mark by chance; it counts as text only if
    all of it is ASCII in UTF-16.
    """
    if key.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return key.decode("utf-16").isascii()
        except UnicodeDecodeError:
            return False
    return key.startswith(codecs.BOM_UTF8)


def check_output(out: Path | None, *, pseudonyms: bool) -> None:
    """Refuse to mix real ids and pseudonyms in one output folder: each would reveal the other.

    Masks, journal and log of an earlier run stay in the folder, and a row has the same hashes under
    its id and under its pseudonym.

    Args:
        out: the output folder, if there is one.
        pseudonyms: whether this run writes pseudonyms.

    Raises:
        ValueError: the folder holds a run with ids of the other kind.
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
    if pseudonyms and holds_ids(out):
        raise ValueError(
            "the output folder holds a run without `pseudonymise`, whose ids would stay in it; "
            "choose another `out`"
        )


def holds_ids(out: Path) -> bool:
    """Return whether an earlier run has written ids into an output folder."""
    return any(_holds_something(out / name) for name in _WITH_IDS)


def _holds_something(path: Path) -> bool:
    """Return whether there is a folder or a file with content; a killed run leaves empty files."""
    return path.is_dir() or (path.exists() and path.stat().st_size > 0)


def mark_output(out: Path) -> None:
    """Note in an output folder that its ids are pseudonyms."""
    (out / MARK).parent.mkdir(parents=True, exist_ok=True)
    (out / MARK).touch()


def is_open_to_all(path: Path) -> bool:
    """Return whether every user of the machine may read a file; always False on Windows."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o004)


def check_map_path(path: Path, out: Path | None) -> None:
    """Refuse an unsuitable path for the id map before any work is done.

    Raises:
        ValueError: the path is in the output folder, or is taken by something other than an id map.
    """
    if out and _is_inside(path, out):
        raise ValueError("the id map would be in the output folder; keep it elsewhere")
    if not path.exists():
        return
    header = ",".join(_MAP_HEADER).encode()
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(header)) == header:
                return
    raise ValueError("the file to write the id map to is not an id map; choose another name")


def write_map(path: Path, cases: Sequence[Case], hidden: Sequence[Case]) -> None:
    """Write the pseudonym of each id to a CSV that only its owner can read (mode 0600).

    The file appears whole or not at all, and replaces an earlier map.

    Args:
        path: path of the CSV, in an existing folder.
        cases: cases under their real ids.
        hidden: the same cases in the same order, from :func:`pseudonymised`.

    Raises:
        OSError: the map cannot be written.
    """
    pairs = zip(cases, hidden, strict=True)
    rows = dict.fromkeys((c.patient_id, c.scan_id, h.patient_id, h.scan_id) for c, h in pairs)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_MAP_HEADER, *rows])
    write_whole({path: _bytes(text.getvalue())}, private=True)


def _pseudonyms(ids: Iterable[str], key: bytes, kind: str) -> dict[str, str]:
    """Return id → pseudonym; ids that are equal in composed Unicode (NFC) count as one.

    Args:
        ids: the ids.
        key: the key.
        kind: ``patient``, ``scan`` or ``reader``.
    """
    found = {text: _pseudonym(text, key, kind) for text in dict.fromkeys(ids)}
    different = {unicodedata.normalize("NFC", text) for text in found}
    if (shared := len(different) - len(set(found.values()))) > 0:
        raise CohortError([f"{shared} pseudonyms stand for two {kind} ids; use another key"])
    return found


def _hidden_reason(reason: str, key: bytes) -> str:
    if not reason:
        return ""
    return f"accepted in the manifest ({_pseudonym(reason, key, 'accept')[:_REASON_DIGITS]})"


def _pseudonym(text: str, key: bytes, kind: str) -> str:
    message = f"pancseg {kind} id\0".encode() + _bytes(unicodedata.normalize("NFC", text))
    return kind[0] + hmac.new(key, message, hashlib.sha256).hexdigest()[:_DIGITS]


def _bytes(text: str) -> bytes:
    """Encode text; ids from file names need not be valid UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path is inside a folder, with or without resolving links."""
    inside = {path.absolute(), path.resolve()}
    if any(p.is_relative_to(f) for p in inside for f in (folder.absolute(), folder.resolve())):
        return True
    parents = path.resolve().parents
    return folder.exists() and any(p.exists() and p.samefile(folder) for p in parents)
