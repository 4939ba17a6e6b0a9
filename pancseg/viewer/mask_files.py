"""Find the file that a row's mask is in, and say why it may not be changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pancseg.cohort.case import DEFAULT_ROI, Case, is_name, name_key, stem_of
from pancseg.report.whereabouts import Whereabouts, noted
from pancseg.running.mask_files import corrections_of, named_like
from pancseg.scans.reading import suffix_of
from pancseg.viewer.rows import Table

MASKS = "masks"
ORIGINALS = ".original"
_TWO_FILES = (".nhdr", ".mhd")
_DIGITS = 8


@dataclass(frozen=True)
class MaskFile:
    """The file of a row's mask.

    Attributes:
        path: of the file, which need not exist; None if there can be none.
        given: whether it is the user's own, and not the network's in the output folder.
        copies: where a version of the file is kept before it is changed, with the beginning of its
            hash before the suffix; None where the ids cannot be a file name.
        why_not: why the file may not be changed; empty if it may.
    """

    path: Path | None
    given: bool = False
    copies: Path | None = None
    why_not: str = ""

    def copy_of(self, sha256: str) -> Path | None:
        """Return where a version of the file is kept.

        >>> MaskFile(None, copies=Path("P1.nii.gz")).copy_of("0123456789ab").name
        'P1.01234567.nii.gz'
        """
        if self.copies is None:
            return None
        suffix = suffix_of(self.copies)
        return self.copies.with_name(f"{stem_of(self.copies)}.{sha256[:_DIGITS]}{suffix}")


class MaskFiles:
    """Finds the mask files of an output folder's rows."""

    def __init__(self, folder: Path, table: Table, whereabouts: Whereabouts) -> None:
        self._folder, self._table = folder, table
        self._scans = {name_key(each.row.scan_name) for each in table.rows().values()}
        self._names: dict[Path, str] = {}
        for case in whereabouts.cases.values():
            if case.mask:
                self._names.setdefault(case.mask, case.name)  # several rows may share a file

    def of(self, case: Case) -> MaskFile:
        """Return the file of a case's mask."""
        if case.mask is not None and self._table.takes_given:
            return self._given(case.mask)
        if case.roi != DEFAULT_ROI and case.mask_label is None:
            return MaskFile(None, why_not=f"no mask was given for the region {case.roi}; give one")
        if self._table.measures_given_only:
            return MaskFile(
                None, why_not="no mask was given, and `extract` takes given masks only; give one"
            )
        if not is_name(case.scan_name):
            return MaskFile(None, why_not="the ids cannot be a file name; give others")
        name = f"{case.scan_name}.nii.gz"
        masks = self._folder / MASKS
        corrections = corrections_of(masks / name, named_like(case.scan_name, self._scans))
        if len(corrections) > 1:
            return MaskFile(None, why_not="there are several corrected masks of it; keep one")
        if corrections:
            path = corrections[0]
            why_not = _why_not_given(path, suffix_of(path))
            return MaskFile(path, False, masks / ORIGINALS / path.name, why_not)
        return MaskFile(masks / name, False, masks / ORIGINALS / name)

    def _given(self, path: Path) -> MaskFile:
        suffix, name = suffix_of(path), self._names.get(path, "")
        copies = self._folder / MASKS / ORIGINALS / f"{name}{suffix}" if is_name(name) else None
        return MaskFile(path, True, copies, _why_not_given(path, suffix))


def _why_not_given(path: Path, suffix: str) -> str:
    if suffix in _TWO_FILES:
        return f"the mask is in two files ({suffix} and its voxels); save it as .nii.gz"
    if not suffix and path.exists():
        return "a DICOM mask cannot be changed here; correct it elsewhere, or save it as .nii.gz"
    if not path.is_file():
        return "the given mask is no longer where the run found it"
    if not os.access(path.resolve().parent, os.W_OK):
        return "the folder of the given mask cannot be written"
    return ""


def masks_gone(folder: Path) -> list[str]:
    """Return the names of an output folder's rows whose mask was measured and is no longer there.

    Rows of which it is not known where their mask was are left out.

    Raises:
        ValueError, OSError: the table cannot be read.
    """
    table = Table(folder)
    viewed = table.rows().values()
    found = noted(folder, [each.row for each in viewed])
    files = MaskFiles(folder, table, found)
    gone = []
    for each in viewed:
        case = found.of(each.row)
        path = files.of(case).path if case and each.mask_sha256 else None
        if case and path and not path.exists():
            gone.append(case.name)
    return gone


def rows_instead(case: Case, cases: Mapping[str, Case]) -> str:
    """Return the rows of the same scan that have one label, and so can be corrected."""
    others = [
        other.roi
        for other in cases.values()
        if other.scan_name == case.scan_name and other.roi != case.roi and _is_plain(other)
    ]
    return ", ".join(others)


def _is_plain(case: Case) -> bool:
    return case.mask_label is None or str(case.mask_label).isdecimal()
