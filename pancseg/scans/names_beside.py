"""Find the names of a label map's labels in a file beside it.

To add a kind of file, write a function that returns its segments (none, if the text is of another
kind) and name its files in :func:`_candidates`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pancseg.errors import UnusableCase
from pancseg.scans.segments import Segment
from pancseg.system.json_file import parse_json
from pancseg.system.regular_files import MEBIBYTE, read_regular

_LARGEST_BYTES = 4 * MEBIBYTE
_WHOLE = re.compile(r"[0-9]{1,9}")
_SNAP_LINE = re.compile(r'([0-9]{1,9})((?:[ \t]+[0-9.]{1,20}){6})[ \t]+"([^"]*)"')
_LABEL_FOLDER = re.compile(r"labels(tr|ts|val)?", re.IGNORECASE)

_Parser = Callable[[str], list[Segment]]


class _Candidate(NamedTuple):
    path: Path
    kind: str
    parse: _Parser
    surely: bool  # whether the file's name says what it is, so that it must be readable


def names_beside(mask: Path, stem: str) -> tuple[Segment, ...]:
    """Return the segments that a file beside a label map names; empty if there is none.

    The first of these that exists and names labels counts: a BIDS ``<stem>.tsv`` or ``dseg.tsv``,
    ITK-SNAP's ``<stem>.label``, ``<stem>.txt``, ``labels.label`` or ``labels.txt``, a class map
    ``<stem>.json`` or ``class_map.json`` (TotalSegmentator: number → name), and nnU-Net's
    ``dataset.json``, in the folder of the label map, or above a folder ``labelsTr``.

    Args:
        mask: file of the label map.
        stem: its name without suffix.

    Raises:
        UnusableCase: ``unreadable``, for a file of names that makes no sense.
    """
    for each in _candidates(mask, stem):
        try:
            text = read_regular(each.path, _LARGEST_BYTES).decode("utf-8-sig")
            found = each.parse(text)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, csv.Error) as error:
            if not each.surely:
                continue
            raise UnusableCase(
                "unreadable",
                f"the {each.kind} beside it cannot be read; correct it, or move it elsewhere",
            ) from error
        if found:
            return tuple(found)
    return ()


def _candidates(mask: Path, stem: str) -> Iterator[_Candidate]:
    folder = mask.parent
    yield _Candidate(folder / f"{stem}.tsv", "table <mask>.tsv", _bids, surely=False)
    yield _Candidate(folder / "dseg.tsv", "table dseg.tsv", _bids, surely=True)
    for name in (stem, "labels"):
        for suffix in ("label", "txt"):
            path = folder / f"{name}.{suffix}"
            yield _Candidate(path, "label file", _itk_snap, surely=False)
    yield _Candidate(folder / f"{stem}.json", "class map", _class_map, surely=False)
    yield _Candidate(folder / "class_map.json", "class_map.json", _class_map, surely=True)
    yield _Candidate(folder / "dataset.json", "dataset.json", _nnunet, surely=True)
    if _LABEL_FOLDER.fullmatch(folder.name):
        yield _Candidate(folder.parent / "dataset.json", "dataset.json", _nnunet, surely=True)


def _bids(text: str) -> list[Segment]:
    r"""Return the segments of a BIDS look-up table.

    >>> [(each.name, each.values) for each in _bids("index\tname\n0\tBackground\n7\tpancreas\n")]
    [('pancreas', (7,))]
    """
    rows = csv.DictReader(text.splitlines(), delimiter="\t")
    if not {"index", "name"} <= set(rows.fieldnames or ()):
        return []
    return _segments((row["index"] or "", row["name"] or "") for row in rows)


def _itk_snap(text: str) -> list[Segment]:
    r"""Return the segments of an ITK-SNAP label description file; none for another text.

    >>> [each.name for each in _itk_snap('# ITK-SnAP\n1 255 0 0 1 1 1 "pancreas"')]
    ['pancreas']
    """
    lines = [line.strip() for line in text.splitlines()]
    found = [_SNAP_LINE.fullmatch(line) for line in lines if line and not line.startswith("#")]
    if not all(found):
        return []
    return _segments((match[1], match[3]) for match in found if match)


def _class_map(text: str) -> list[Segment]:
    """Return the segments of a mapping of numbers to names; none for another mapping.

    >>> [each.values for each in _class_map('{"0": "background", "7": "pancreas"}')]
    [(7,)]
    """
    content = parse_json(text)
    if not isinstance(content, Mapping) or not content:
        return []
    pairs = list(content.items())
    if not all(_WHOLE.fullmatch(key) and isinstance(name, str) for key, name in pairs):
        return []
    return _segments(pairs)


def _nnunet(text: str) -> list[Segment]:
    """Return the segments of the ``labels`` of a ``dataset.json``: of nnU-Net 1 and 2, or the MSD.

    A region that is trained as the union of several labels is a segment with several values.

    >>> [each.values for each in _nnunet('{"labels": {"background": 0, "whole": [1, 2]}}')]
    [(1, 2)]
    """
    content = parse_json(text)
    labels = content.get("labels") if isinstance(content, Mapping) else None
    if not isinstance(labels, Mapping):
        return []
    pairs: list[tuple[Any, str]] = []
    for key, value in labels.items():
        pairs.append((key, value) if _WHOLE.fullmatch(key) else (value, key))
    return _segments(pairs)


def _segments(pairs: Any) -> list[Segment]:
    """Return segments of (number or numbers, name); the background and blank names are left out.

    Raises:
        ValueError: something is not a number or a name.
    """
    found = []
    for numbers, name in pairs:
        values = tuple(map(_value, numbers if isinstance(numbers, list) else [numbers]))
        if not isinstance(name, str):
            raise ValueError("a name is not text")
        if values and 0 not in values and name.strip():
            found.append(Segment(name.strip(), values))
    return found


def _value(number: Any) -> int:
    text = str(number).strip()
    if isinstance(number, bool) or not _WHOLE.fullmatch(text):
        raise ValueError("a label is no whole number")
    return int(text)
