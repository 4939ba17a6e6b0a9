"""Owns the folder of masks that a run writes: it never replaces a mask that somebody edited.

``sha256.txt`` lists what was written, in the form that ``sha256sum --check`` reads.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import SimpleITK as sitk

from pancseg import scans
from pancseg.unusable import UnusableCase

_LIST = "sha256.txt"


class MaskFolder:
    """A folder of masks, one ``<name>.nii.gz`` per case."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._written = _read_list(folder / _LIST)

    def clear(self, name: str) -> None:
        """Make place for a new mask: remove the one that an earlier run wrote.

        Raises:
            UnusableCase: ``mask_exists``, when the mask there is not one that a run wrote.
        """
        path = self._path(name)
        if not path.exists():
            return
        if _sha256(path) != self._written.get(path.name):
            raise UnusableCase(
                "mask_exists",
                "the output folder has a mask of it that was edited or comes from elsewhere; "
                "use it with --masks, or choose another --out",
            )
        path.unlink()

    def write(self, mask: sitk.Image, name: str) -> None:
        """Write a mask and note its hash, in an order that a kill cannot confuse.

        Raises:
            OSError: the folder cannot be written to.
        """
        path = self._path(name)
        new = path.with_name(f".new-{path.name}")
        scans.write(mask, new)
        digest = _sha256(new)
        with (self._folder / _LIST).open("a", encoding="utf-8") as file:
            file.write(f"{digest}  {path.name}\n")
        self._written[path.name] = digest
        os.replace(new, path)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.nii.gz"


def _read_list(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = (line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return {parts[1]: parts[0] for parts in lines if len(parts) == 2}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
