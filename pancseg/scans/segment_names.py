"""Tell by a segment's name whether it means the pancreas, or a tumour of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from pancseg.scans.segments import Segment

_WORDS = re.compile(r"[^\W\d_]+")
_DEFAULT_NAME = re.compile(r"(segment|label|roi)?[\s_-]*[0-9]*", re.IGNORECASE)
_PANCREAS = {"pancreas", "pankreas", "páncreas", "pancréas"}
_OF_PANCREAS = _PANCREAS | {"pancreatic", "pankreatic", "pdac"}
_TUMOUR = {
    "tumor", "tumour", "tumors", "tumours", "pdac", "cancer", "carcinoma", "adenocarcinoma",
    "lesion", "lesions", "mass", "neoplasm",
}  # fmt: skip
_ADDED = {
    "and", "with", "including", "incl", "the", "whole", "segmentation", "segment", "mask", "label",
    "organ", "gland", "parenchyma", "healthy", "normal",
}  # fmt: skip


class Meaning(Enum):
    """What a segment's name means."""

    PANCREAS = "the pancreas"
    ITS_TUMOUR = "a tumour that is named as one of the pancreas"
    TUMOUR = "a tumour of whatever organ"
    NOTHING = "no name, or one that a program gave"
    OTHER = "anything else"


def meaning_of(name: str) -> Meaning:
    """Return what a segment's name means.

    >>> meaning_of("Pancreas"), meaning_of("pancreatic_tumor_1")
    (<Meaning.PANCREAS: 'the pancreas'>, <Meaning.ITS_TUMOUR: 'a tumour that is named as one of \
the pancreas'>)
    >>> [meaning_of(name).name for name in ("Segment_2", "duodenum", "pancreas head", "mass")]
    ['NOTHING', 'OTHER', 'OTHER', 'TUMOUR']
    """
    if _DEFAULT_NAME.fullmatch(name.strip()):
        return Meaning.NOTHING
    words = set(_WORDS.findall(name.casefold()))
    known = words <= _OF_PANCREAS | _TUMOUR | _ADDED
    if known and words & _TUMOUR:
        return Meaning.ITS_TUMOUR if words & _OF_PANCREAS else Meaning.TUMOUR
    return Meaning.PANCREAS if known and words & _PANCREAS else Meaning.OTHER


def meaning_of_segment(segment: Segment) -> Meaning:
    """Return what a segment means: by its name, or where that tells nothing, by its code.

    >>> meaning_of_segment(Segment("Segment_1", (1,), coded="Pancreas")).name
    'PANCREAS'
    """
    by_name = meaning_of(segment.name)
    return meaning_of(segment.coded) if by_name is Meaning.NOTHING else by_name


def is_known(name: str) -> bool:
    """Return whether all words of a name mean the pancreas or a tumour, so that it names nobody.

    >>> is_known("Pancreas"), is_known("Mueller 1951"), is_known("1951")
    (True, False, False)
    """
    return meaning_of(name) not in {Meaning.NOTHING, Meaning.OTHER}


def may_hold_pancreas(segments: Sequence[Segment]) -> bool:
    """Return whether a mask may be one of the pancreas, by all that its file names.

    >>> [may_hold_pancreas([Segment(name, (1,))]) for name in ("Pancreas", "mass", "", "liver")]
    [True, True, True, False]
    """
    means = {meaning_of_segment(each) for each in segments}
    if means & {Meaning.PANCREAS, Meaning.ITS_TUMOUR}:
        return True
    return means == {Meaning.TUMOUR} or (means == {Meaning.NOTHING} and len(segments) == 1)
