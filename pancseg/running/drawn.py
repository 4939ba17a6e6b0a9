"""Note which masks a person drew or corrected in the viewer, so that the next run can tell.

A mask in the output folder that the network has not made is a person's correction if the network
had made one of the same scan. Where it found nothing, the first note says that a person drew one:
it names the content of the scan, as :func:`pancseg.running.keys.of_scan` does. A given mask is a
file of the user's; the second note says in which of its versions a row's region was corrected. The
third names the files that the viewer wrote, of which it keeps no copy when it changes them again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pancseg.system.json_file import read_json
from pancseg.system.whole_files import write_whole

DRAWN = "drawn.json"
"""File of the state folder: name of a scan → keys of the contents that masks were drawn on."""
CORRECTED_GIVEN = "corrected.json"
"""File of the state folder: key of a case → hashes of the given mask with its region corrected."""
SAVED = "saved.json"
"""File of the state folder: name of a mask file → hashes of those that the viewer wrote last."""

Notes = Mapping[str, frozenset[str]]


def note_drawn(state: Path, scan_name: str, scan: str) -> None:
    """Note that a person draws a mask of a scan; call this before the mask gets its name.

    Args:
        state: state folder of the output folder, which is locked.
        scan_name: patient and scan, as in :attr:`pancseg.Case.scan_name`.
        scan: key of the scan's content.

    Raises:
        OSError: the note cannot be written.
    """
    known = scans_drawn_on(state)
    if scan not in known.get(scan_name, ()):
        _write(state / DRAWN, {**known, scan_name: known.get(scan_name, frozenset()) | {scan}})


def note_corrected(state: Path, case_key: str, before: str, after: str) -> None:
    """Note that a person has corrected the region of a row in a given mask file.

    Other rows that share the file and were corrected in it earlier remain so.

    Args:
        state: state folder of the output folder, which is locked.
        case_key: key of the row's case.
        before: hash of the file as it was (:func:`pancseg.running.keys.of_given_mask`).
        after: hash of the file now.

    Raises:
        OSError: the note cannot be written.
    """
    known = corrected_given(state)
    own = {case_key: known.get(case_key, frozenset())}
    noted = {
        key: hashes | {after} if key == case_key or before in hashes else hashes
        for key, hashes in {**own, **known}.items()
    }
    _write(state / CORRECTED_GIVEN, noted)


def note_saved(state: Path, name: str, before: str, after: str) -> None:
    """Note that the viewer writes a mask file; call this before the file gets its name.

    Args:
        state: state folder of the output folder, which is locked.
        name: of the file.
        before: hash of the file that it replaces (:func:`pancseg.running.keys.of_file`).
        after: hash of the new file.

    Raises:
        OSError: the note cannot be written.
    """
    known = saved_here(state)
    _write(state / SAVED, {**known, name: known.get(name, frozenset()) - {before} | {after}})


def saved_here(state: Path) -> Notes:
    """Return name of a mask file → hashes of the files that the viewer wrote last.

    A note that cannot be read counts as none; a copy more is then kept.
    """
    return _read(state / SAVED)


def scans_drawn_on(state: Path) -> Notes:
    """Return name of a scan → keys of the contents that a person has drawn a mask on.

    A note that cannot be read counts as none; a mask is then refused, never lost.
    """
    return _read(state / DRAWN)


def corrected_given(state: Path) -> Notes:
    """Return key of a case → hashes of the given masks in which a person corrected its region.

    A note that cannot be read counts as none; a corrected mask is then called a given one.
    """
    return _read(state / CORRECTED_GIVEN)


def _read(path: Path) -> Notes:
    try:
        content = read_json(path)
        return {
            str(name): frozenset(text for text in texts if isinstance(text, str) and text)
            for name, texts in content.items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(path: Path, notes: Notes) -> None:
    content = {name: sorted(texts) for name, texts in notes.items()}
    write_whole({path: (json.dumps(content, indent=1) + "\n").encode()})
