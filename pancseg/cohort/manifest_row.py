"""Turn the cells of a manifest's row into a case, and say what is wrong with them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pancseg.cohort.case import DEFAULT_ROI, LONGEST_NAME_BYTES, NO_NAME, Case, is_name, stem_of
from pancseg.cohort.formulas import NO_FORMULA, is_formula, without_formula
from pancseg.cohort.roi import EXAMPLES, parse_roi
from pancseg.cohort.yes_no import yes_or_no
from pancseg.system.text.excerpt import excerpt
from pancseg.system.text_table import LONGEST_CELL

_WHOLE = re.compile(r"([0-9]+)\.0*")
_WINDOWS = re.compile(r"[A-Za-z]:(\\.*)?")
Extra = tuple[tuple[str, str], ...]


def case_of(
    cells: dict[str, str], extra: Extra, folder: Path, *, show_ids: bool
) -> tuple[Case, list[str]]:
    """Return a row's case and its problems.

    Args:
        cells: known column → cell.
        extra: names and cells of all other columns.
        folder: what the paths are relative to.
        show_ids: whether problems may quote cells.
    """
    wrong = _unfit_words(cells)
    label = None
    try:
        label = parse_roi(_whole(text)) if (text := cells.get("mask_label", "")) else None
    except ValueError as error:
        hidden = f"mask_label is not an expression; write for example {EXAMPLES}"
        wrong.append(f"mask_label {error}" if show_ids else hidden)
    if cells.get("label_channel", "") not in ("", "0", "0.0"):
        wrong.append("label_channel is not 0; save that channel as a mask of its own")
    image, mask, reader = (cells.get(name, "") for name in ("image", "mask", "reader"))
    case = Case(
        patient_id=cells.get("patient_id", ""),
        image=path_of(image, folder) if image else folder,
        mask=path_of(mask, folder) if mask else None,
        mask_label=label,
        scan_id="_".join(filter(None, [cells.get("scan_id", ""), reader])),
        roi=cells.get("roi", "") or DEFAULT_ROI,
        series_uid=cells.get("series_uid", "") or None,
        accept="" if yes_or_no(cells.get("accept", "")) is False else cells["accept"],
        reader=excerpt(reader, LONGEST_CELL),
        extra=tuple((name, without_formula(excerpt(text, LONGEST_CELL))) for name, text in extra),
    )
    if len(case.name.encode()) > LONGEST_NAME_BYTES:
        wrong.append(
            f"its ids have {len(case.name.encode())} bytes together "
            f"(at most {LONGEST_NAME_BYTES}); shorten them"
        )
    return case, wrong


def is_used(cells: dict[str, str]) -> bool:
    """Return whether a row is a case: a column ``use`` does not say no, or there is none."""
    return yes_or_no(cells.get("use", "yes")) is not False


def _unfit_words(cells: dict[str, str]) -> list[str]:
    """Return the problems of the cells that become names, or words of one meaning."""
    wrong = []
    accept = cells.get("accept", "")
    accepted = yes_or_no(accept)
    if accepted is None and is_formula(accept):
        wrong.append(f"accept {NO_FORMULA}; change it")
    if accepted:
        wrong.append("accept says yes without a reason; write why the mask is to be measured")
    if yes_or_no(cells.get("use", "yes")) is None:
        wrong.append("use says neither yes nor no; write one of the two")
    for column in ("patient_id", "scan_id", "reader", "roi"):
        text = cells.get(column, "")
        if text and not is_name(text):
            wrong.append(f"{column} {NO_NAME}; change it")
        elif is_formula(text):
            wrong.append(f"{column} {NO_FORMULA}; change it")
    empty = [column for column in ("patient_id", "image") if cells.get(column) == ""]
    return wrong + [f"{column} is empty; fill it in, or delete the row" for column in empty]


def path_of(text: str, folder: Path) -> Path:
    r"""Return the path that a cell means: relative to the manifest, or to a home after ``~``.

    Backslashes are separators where no file has the name with them, and quotes around a path, as
    Windows copies it, are dropped.

    >>> path_of(r'"ct\\P1.nii.gz"', Path("/data")).as_posix()
    '/data/ct/P1.nii.gz'
    """
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    path = folder / os.path.expanduser(text)
    if "\\" in text and not os.path.lexists(path):
        return folder / os.path.expanduser(text.replace("\\", "/"))
    return path


def ids_of_images(images: Sequence[str]) -> list[str]:
    """Return an id for each image: its file's name, or its folder's where files share a name.

    >>> ids_of_images(["a/P1.nii.gz", "a/P2.nii.gz"]), ids_of_images(["P1/ct.nrrd", "P2/ct.nrrd"])
    (['P1', 'P2'], ['P1', 'P2'])
    """
    paths = [PurePosixPath(text.strip('"').replace("\\", "/")) for text in images]
    stems = [stem_of(Path(path)) for path in paths]
    different = dict(zip(paths, stems, strict=True))
    if len(set(different.values())) == len(different):
        return stems
    return [path.parent.name or stem for path, stem in zip(paths, stems, strict=True)]


def unreachable(path: Path | None) -> str:
    """Return why a file or folder cannot be reached; empty if it can, or if there is no path."""
    if path is None:
        return ""
    try:
        path.stat()
    except FileNotFoundError:
        if os.name == "posix" and any(map(_WINDOWS.fullmatch, path.parts)):
            return "has a path of Windows; write it as on this machine, or relative to the manifest"
        return "does not exist (paths are relative to the manifest); correct the path"
    except OSError as error:
        return f"cannot be reached: {error.strerror}; correct the path"
    return ""


def _whole(text: str) -> str:
    """Return a label that a spreadsheet has written with decimals as a whole number."""
    found = _WHOLE.fullmatch(text)
    return found[1] if found else text
