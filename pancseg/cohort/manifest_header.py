"""Recognise the columns of a manifest as people, spreadsheets and pyradiomics spell them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from pancseg.cohort.case import EXTRA_PREFIX
from pancseg.errors import CohortError

COLUMNS = (
    "patient_id", "image", "mask", "mask_label", "scan_id", "reader", "roi", "series_uid", "accept",
    "use",
)  # fmt: skip
DESCRIBING = (
    "study", "series", "kind", "volume", "phase", "slices", "columns", "rows", "distance_mm",
    "thickness_mm", "kernel", "contrast", "not_used_because",
)  # fmt: skip
"""Columns that ``pancseg series`` writes for a person to choose by; they go no further."""
_CHANNEL = "label_channel"
"""pyradiomics's column for masks of several channels, which are not read."""
_OTHER_NAMES = {
    "patient_id": ("patientid", "patient", "id", "case_id", "subject_id", "participant_id"),
    "image": ("image_path", "ct"),
    "mask": ("mask_path",),
    "scan_id": ("scanid",),
    "series_uid": ("seriesinstanceuid", "series_instance_uid"),
}
"""Column → what it is called elsewhere; taken where no column has the name itself."""
_MOST_COLUMNS = 100
_LONGEST_NAME = 60
_LIKE = 0.85
"""Similarity (of difflib) from which a name is taken for a typing error, not for another column."""


@dataclass
class Header:
    """What the columns of a manifest mean.

    Attributes:
        known: column of ``COLUMNS`` → its position.
        extra: name of another column, without ``x_`` → its position.
        problems: what is wrong, one line each.
    """

    known: dict[str, int] = field(default_factory=dict)
    extra: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def cells(self, row: Sequence[str]) -> dict[str, str]:
        """Return column → cell of the known columns of a row."""
        return {name: row[position] for name, position in self.known.items()}

    @property
    def carried(self) -> list[str]:
        """The names under which other columns, and the reader, stand in the table."""
        reader = ["reader"] if "reader" in self.known else []
        return [f"{EXTRA_PREFIX}{name}" for name in (*self.extra, *reader)]

    def more(self, row: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Return names and cells of the other columns of a row."""
        return tuple((name, row[position]) for name, position in self.extra.items())


def read_header(columns: Sequence[str], *, show_ids: bool) -> Header:
    """Return what the columns of a manifest mean.

    Upper and lower case, blanks, dots and hyphens make no difference. pyradiomics's ``Label`` is
    ``mask_label`` where there is a mask. A line without a column of images may be a patient's row
    instead of a header, so its cells are not shown.

    Args:
        columns: the cells of the header.
        show_ids: whether problems may quote the header.

    Raises:
        CohortError: there are too many columns for a manifest.

    Example:
        >>> read_header(["Patient ID", "Image", "Mask", "Label", "Age"], show_ids=True).known
        {'patient_id': 0, 'image': 1, 'mask': 2, 'mask_label': 3}
    """
    named = [(position, name) for position, name in enumerate(columns) if name]
    if len(named) > _MOST_COLUMNS:
        raise CohortError(
            [f"the manifest has {len(named)} columns (at most {_MOST_COLUMNS}); leave some out"]
        )
    header = Header()
    others: list[tuple[int, str]] = []
    for position, name, meant in _meant(named):
        if meant is None:
            others.append((position, name))
        elif meant in header.known:
            header.problems.append(f"the manifest has column {meant!r} twice; remove one")
        else:
            header.known[meant] = position
    if "image" not in header.known:
        known = ", ".join(COLUMNS)
        header.problems.append(
            "the manifest has no column 'image'; its first line must name the columns, of which "
            f"'image' is needed and these are known: {known}"
        )
        return header
    for position, name in others:
        if "use" in header.known and name in DESCRIBING:
            continue
        shown = repr(name[:40]) if show_ids else f"number {position + 1}"
        if problem := _add(header, position, name):
            header.problems.append(f"the manifest's column {shown} {problem}")
    return header


def names_images(columns: Sequence[str]) -> bool:
    """Return whether a header is that of a manifest."""
    named = [(position, name) for position, name in enumerate(columns) if name]
    return any(meant == "image" for _, _, meant in _meant(named))


def _meant(named: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str, str | None]]:
    """Yield position and name of each column, and which known column it is, if any."""
    spelt = {_plain(name) for _, name in named}
    meaning = {name: name for name in (*COLUMNS, _CHANNEL)}
    for column, others in _OTHER_NAMES.items():
        if column not in spelt and (found := next((o for o in others if o in spelt), None)):
            meaning[found] = column
    if "mask_label" not in spelt and "mask" in map(meaning.get, spelt):
        meaning["label"] = "mask_label"
    for position, name in named:
        yield position, name, meaning.get(_plain(name))


def _add(header: Header, position: int, name: str) -> str:
    """Add a column that is not known to the header, or return why it cannot be carried."""
    missing = [column for column in COLUMNS if column not in header.known]
    if close := get_close_matches(_plain(name), missing, n=1, cutoff=_LIKE):
        return f"may be meant as {close[0]!r}; rename it"
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        return f"has an invisible character, or more than {_LONGEST_NAME} characters; rename it"
    own = name.removeprefix(EXTRA_PREFIX)
    taken = [*header.extra, *(["reader"] if "reader" in header.known else [])]
    if _in_table(own) in map(_in_table, taken):
        return "would have the same name in the table as another one; rename one of them"
    header.extra[own] = position
    return ""


def _plain(name: str) -> str:
    return re.sub(r"[\s.\-]+", "_", name.casefold())


def _in_table(name: str) -> str:
    """Return a name as programs compare it in a table, where it is safe and case may not count."""
    return re.sub(r"[^a-z0-9_]", "_", name.casefold())
