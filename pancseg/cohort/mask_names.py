"""Tell by the names of mask files that they are masks, and which case each belongs to."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pancseg.cohort.case import name_key
from pancseg.cohort.mask_entries import mask_stem

_WORD = re.compile(r"[^ ._-]+")
_MASK = {
    "seg", "segm", "segmentation", "segmentations", "dseg", "mask", "masks", "label", "labels",
    "labelmap", "roi", "pancreas",
}  # fmt: skip
_AFTER = _MASK | {"map", "manual", "final", "gt", "corrected"}
_SCAN = "ct|scan|image|img|volume"
_WORDS = "|".join(sorted(_MASK))
_ALONE = re.compile(
    rf"(?:(?:{_SCAN})[ ._-])?(?:{_WORDS})(?:[ ._-]?(?:{_WORDS}))*(?:[ ._-]?[0-9]{{1,2}})?"
)
"""A name with another word in front is that of the mask of a scan of this name."""
_OTHER_ORGAN = re.compile(
    "(tumou?r|lesion|pdac|cyst|duct|vein|arter|vessel|aorta|duoden|liver|spleen|kidney|stomach"
    "|bowel)[a-z]*"
)
"""A file with such a name is no scan, so that ``liver_mask`` is not the mask of one; the names of
scans may have such a word in them, as ``PDAC_001`` has."""
_CHANNEL = "_0000"
"""What nnU-Net adds to the names of scans, but not to those of masks."""


class Named(NamedTuple):
    """Masks and the cases that their names mean.

    Attributes:
        of_key: key of a case, or of a scan, → its mask.
        twice: for each key that several masks mean, these masks.
        unused: masks that mean no case.
    """

    of_key: dict[str, Path]
    twice: list[list[Path]]
    unused: list[Path]


def masks_by_key(paths: Iterable[Path], wanted: Collection[str]) -> Named:
    """Return the masks of some cases, from a folder of masks.

    A mask has the name of its case or scan, alone or with what programs add: ``P1.seg.nrrd``,
    ``P1_mask.nii.gz``, ``P1-label_1.nrrd``; ``P1.nii.gz`` also belongs to nnU-Net's ``P1_0000``.

    Args:
        paths: mask files.
        wanted: keys of the cases and scans.
    """
    found: dict[str, list[Path]] = {}
    unused = []
    for path in sorted(paths):
        meant = (key for key in _meant(name_key(mask_stem(path))) if key in wanted)
        if (key := next(meant, None)) is None:
            unused.append(path)
        else:
            found.setdefault(key, []).append(path)
    of_key = {key: masks[0] for key, masks in found.items()}
    return Named(of_key, [masks for masks in found.values() if len(masks) > 1], unused)


def masks_beside(
    entries: Sequence[Path], files: Iterable[Path], patient: Container[str] = ()
) -> dict[Path, list[Path]]:
    """Return scan → the files beside it that are its masks by their names.

    A name without a scan's, such as ``mask.nii.gz``, counts where there is one scan alone.

    Args:
        entries: the scans: files and folders.
        files: those of them that can be masks: volume files.
        patient: keys of the folder's names, if it is one patient's: a mask may be named after it.
    """
    keys = {name_key(mask_stem(path)): path for path in entries}
    found: dict[Path, list[Path]] = {}
    unnamed = []
    for path in files:
        own = name_key(mask_stem(path))
        if scan := scan_of(own, keys):
            found.setdefault(keys[scan], []).append(path)
        elif is_mask_in(own, patient):
            unnamed.append(path)
    masks = {mask for several in found.values() for mask in several}
    scans = [path for path in entries if path not in masks and path not in unnamed]
    if len(scans) == 1 and unnamed:
        found.setdefault(scans[0], []).extend(unnamed)
    return {scan: several for scan, several in found.items() if scan not in masks}


def scan_of(name: str, scans: Container[str]) -> str | None:
    """Return the scan beside which a file lies as its mask, by its name, or None.

    Args:
        name: key of the file's name without suffix (:func:`pancseg.cohort.case.name_key`).
        scans: keys of the scans.

    Example:
        >>> [scan_of(name, {"p1"}) for name in ("p1.seg", "p1_mask_final", "p1-label", "p1_tumour")]
        ['p1', 'p1', 'p1', None]
        >>> scan_of("p1", {"p1_0000"}), scan_of("pdac_001_mask", {"pdac_001"})
        ('p1_0000', 'pdac_001')
    """
    meant = (key for key in _meant(name) if not _OTHER_ORGAN.fullmatch(key))
    return next((key for key in meant if key != name and key in scans), None)


def is_mask_in(name: str, patient: Container[str]) -> bool:
    """Return whether a file in a patient's folder is a mask: by its name alone, or the patient's.

    >>> [is_mask_in(name, {"p1"}) for name in ("mask", "p1_seg", "p2_seg")]
    [True, True, False]
    """
    return is_mask(name) or scan_of(name, patient) is not None


def is_mask(name: str) -> bool:
    """Return whether a file is a mask by its name alone.

    >>> [is_mask(name) for name in ("mask", "ct_seg", "pancreas", "label_1")]
    [True, True, True, True]
    >>> [is_mask(name) for name in ("pancreas_001", "p1_seg", "ct")]
    [False, False, False]
    """
    return bool(_ALONE.fullmatch(name))


def _meant(stem: str) -> Iterator[str]:
    """Yield the keys that a mask's name may mean, the likeliest first.

    >>> list(_meant("p1_mask_2"))
    ['p1_mask_2', 'p1_mask_2_0000', 'p1', 'p1_0000']
    """
    words = list(_WORD.finditer(stem))
    ends = [len(stem)]
    for number, word in reversed(list(enumerate(words))[1:]):
        if word[0] in _MASK:
            ends.append(words[number - 1].end())
        elif word[0] not in _AFTER and not word[0].isdecimal():
            break
    for end in ends:
        yield stem[:end]
        yield f"{stem[:end]}{_CHANNEL}"
