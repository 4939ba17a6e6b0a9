"""The codes by which DICOM objects name regions, measurements and units."""

from __future__ import annotations

from typing import NamedTuple

from pancseg.cohort.case import DEFAULT_ROI
from pancseg.pictures.colours import LABELS
from pancseg.scans.segment_names import Meaning, meaning_of


class Code(NamedTuple):
    """A coded concept.

    Attributes:
        value: the code.
        scheme: designator of the coding scheme: ``SCT`` is SNOMED CT.
        meaning: in words, at most 64 characters.
    """

    value: str
    scheme: str
    meaning: str


class RegionCodes(NamedTuple):
    """What a region is.

    Attributes:
        category: kind of thing (PS3.16, CID 7150).
        kind: the thing itself.
    """

    category: Code
    kind: Code


PANCREAS = Code("15776009", "SCT", "Pancreas")
_NEOPLASM = Code("108369006", "SCT", "Neoplasm")
_TISSUE = Code("85756007", "SCT", "Tissue")
_ORGAN = RegionCodes(Code("91723000", "SCT", "Anatomical Structure"), PANCREAS)
_TUMOUR = RegionCodes(
    Code("49755003", "SCT", "Morphologically Abnormal Structure"), _NEOPLASM
)  # fmt: skip
_OTHER = RegionCodes(_TISSUE, _TISSUE)

_LONGEST_MEANING = 64
_UNITS = {
    "mm": "millimeter",
    "mm2": "square millimeter",
    "mm3": "cubic millimeter",
    "/mm": "per millimeter",
    "mL": "milliliter",
    "[hnsf'U]": "Hounsfield unit",
    "[arb'U]": "arbitrary unit",
    "1": "no units",
}


def codes_of_region(name: str) -> RegionCodes:
    """Return what a region is by its name: the pancreas, a tumour, or some tissue near it.

    >>> [codes_of_region(name).kind.meaning for name in ("pancreas", "tumour", "ring5")]
    ['Pancreas', 'Neoplasm', 'Tissue']
    """
    meaning = meaning_of(name)
    if name == DEFAULT_ROI or meaning is Meaning.PANCREAS:
        return _ORGAN
    return _TUMOUR if meaning in (Meaning.TUMOUR, Meaning.ITS_TUMOUR) else _OTHER


def unit_code(unit: str) -> Code:
    """Return a unit of the codebook as a UCUM code.

    >>> unit_code("mm³·HU²").value, unit_code("none").value
    ("mm3.[hnsf'U]2", '1')
    """
    text = {"1/mm": "/mm", "none": "1", "": "1"}.get(unit, unit)
    for shown, coded in {"·": ".", "²": "2", "³": "3", "HU": "[hnsf'U]", "a.u.": "[arb'U]"}.items():
        text = text.replace(shown, coded)
    return Code(text, "UCUM", _UNITS.get(text, text))


def short(text: str) -> str:
    """Return as much of a text as a code's meaning, a label or a description holds.

    DICOM counts characters, but some readers bytes, of which these are at most 64.

    >>> len(short("x" * 100)), len(short("ü" * 100))
    (64, 32)
    """
    return text.replace("\\", "/").encode()[:_LONGEST_MEANING].decode(errors="ignore")


def colour_of(number: int) -> tuple[int, int, int]:
    """Return red, green and blue (0–255) of the region of a number, from 0."""
    digits = LABELS[number % len(LABELS)].removeprefix("#")
    red, green, blue = (int(digits[at : at + 2], 16) for at in (0, 2, 4))
    return red, green, blue
