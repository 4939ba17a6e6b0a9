"""Turn the bytes of DICOM elements into numbers and texts, whatever VR the file states for them.

Messages name the element and show its value only if that is a short number: people type into
headers, and a number of more than 7 digits may be a date of birth.
"""

from __future__ import annotations

import math
import re
import struct
import warnings
from collections.abc import Sequence
from functools import cache

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import TEXT_VR_DELIMS

from pancseg.scans.dicom.elements import DamagedDicom, DataSet, Element, clean_uid

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
"""VR → letter of :mod:`struct`."""
_VAGUE = ("", "UN", "OB", "OW", "OF", "OD", "OL", "OV")
"""VRs that say nothing about the value; the dictionary's VR is taken instead."""
_LONGEST_NUMBER = 64
"""Characters; DS has 16 (PS3.5, 6.2), but some programs write a double's 17 digits and more."""
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SHOWN = re.compile(r"[+-]?[0-9]{0,7}(?:[.,][0-9]{0,7})?(?:[eE][+-]?[0-9]{1,3})?|[+-]?(?:nan|inf)")
_MOST_SHOWN_DIGITS = 7
_CHARACTERS = {"CS": 16, "SH": 16, "LO": 64, "UI": 64, "LT": 1024}
"""VR → most characters of one value (PS3.5, 6.2); of LT, which may have 10,240, the first ones."""


class UnusableHeader(DamagedDicom):
    """The file is whole, but an element of its header has an impossible value."""


@cache
def tag(keyword: str) -> int:
    """Return the tag of an element, ``0xGGGGEEEE``."""
    found = tag_for_keyword(keyword)
    if found is None:
        raise KeyError(keyword)
    return found


@cache
def vr_of(keyword: str) -> str:
    """Return the VR that the dictionary gives an element."""
    return dictionary_VR(tag(keyword))


def most_bytes(keyword: str) -> int:
    """Return how many bytes of an element are worth reading; 0 for a sequence.

    >>> most_bytes("Rows"), most_bytes("ImageComments"), most_bytes("PlanePositionSequence")
    (512, 1024, 0)
    """
    return {"SQ": 0, "LT": _CHARACTERS["LT"]}.get(vr_of(keyword), 8 * _LONGEST_NUMBER)


def numbers(
    data_sets: Sequence[DataSet], keyword: str, count: int, big_endian: bool
) -> tuple[float, ...] | None:
    """Return an element's values from the first data set that has it; None if none has.

    Raises:
        UnusableHeader: these are not ``count`` finite numbers.
    """
    for data_set in data_sets:
        element = data_set.get(tag(keyword))
        values = () if element is None else _values(element, keyword, big_endian)
        if not values:
            continue
        if len(values) != count:
            plural = "" if len(values) == 1 else "s"
            raise UnusableHeader(f"{keyword} has {len(values)} value{plural} (expected {count})")
        return values
    return None


def whole(data_set: DataSet, keyword: str, big_endian: bool, default: int | None = None) -> int:
    """Return an element's value, a whole number.

    Raises:
        UnusableHeader: it is no whole number; or it is missing, and no default is given.
    """
    found = numbers([data_set], keyword, 1, big_endian)
    if found is None:
        if default is None:
            raise UnusableHeader(f"{keyword} is missing")
        return default
    if not found[0].is_integer() or abs(found[0]) >= 10**_MOST_SHOWN_DIGITS:
        value = f"{found[0]:.0f}" if found[0].is_integer() else repr(found[0])
        raise UnusableHeader(f"{keyword} is {_shown(value)} (expected a whole number)")
    return int(found[0])


def number_of(data_set: DataSet, keyword: str, big_endian: bool) -> int | None:
    """Return an element's value; None if it is missing, or no whole number."""
    try:
        return whole(data_set, keyword, big_endian)
    except UnusableHeader:
        return None


def _values(element: Element, keyword: str, big_endian: bool) -> tuple[float, ...]:
    vr = vr_of(keyword) if element.vr in _VAGUE else element.vr
    if letter := _BINARY.get(vr):
        size = struct.calcsize(letter)
        if element.length % size or element.length != len(element.value):
            raise UnusableHeader(f"{keyword} has {element.length} bytes (expected {size})")
        order = ">" if big_endian else "<"
        found = struct.unpack(f"{order}{element.length // size}{letter}", element.value)
        if not all(map(math.isfinite, found)):
            raise UnusableHeader(f"{keyword} is not finite")
        return tuple(map(float, found))
    text = element.value.decode("latin-1").strip(" \0")
    if element.length > len(element.value):
        raise UnusableHeader(f"{keyword} is a text of {element.length} bytes (expected a number)")
    return tuple(_number(part.strip(" \0"), keyword) for part in text.split("\\")) if text else ()


def _number(text: str, keyword: str) -> float:
    if len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text):
        value = float(text)
        if math.isfinite(value):
            return value
    expected = "a decimal point" if "," in text else "a finite number"
    raise UnusableHeader(f"{keyword} is {_shown(text)} (expected {expected})")


def _shown(text: str) -> str:
    """Return a value as a message may show it: a short number, or how long it is.

    >>> _shown("3,0"), _shown("19470312"), _shown("DOE^JOHN")
    ('3,0', 'a number of 8 characters', 'a text of 8 characters')
    """
    if not text:
        return "empty"
    digits = sum(character.isdigit() for character in text)
    short = digits <= _MOST_SHOWN_DIGITS and len(text) <= 2 * _MOST_SHOWN_DIGITS
    if short and _SHOWN.fullmatch(text.lower()):
        return text
    kind = "number" if _NUMBER.fullmatch(text) else "text"
    return f"a {kind} of {len(text)} characters"


def items_of(data_set: DataSet, keyword: str) -> tuple[DataSet, ...]:
    """Return the items of a sequence; none if there is no such sequence."""
    sequence = data_set.get(tag(keyword))
    return sequence.items if sequence else ()


def uid_of(data_set: DataSet, keyword: str) -> str:
    """Return an element as a UID; empty if there is none."""
    return clean_uid(text_of(data_set, keyword))


def text_of(data_set: DataSet, keyword: str, most: int = 0) -> str:
    """Return an element as text; empty if there is none.

    Several values are divided by commas. Bytes that do not fit the file's character set become
    U+FFFD.

    Args:
        data_set: where the element is.
        keyword: which element.
        most: number of characters after which each value is cut; 0 for what its VR allows.
    """
    element = data_set.get(tag(keyword))
    if element is None or not element.value:
        return ""
    charsets = data_set.get(tag("SpecificCharacterSet"))
    names = charsets.value.decode("ascii", "replace") if charsets else ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote the file
        try:
            encodings = convert_encodings([name.strip(" \0") for name in names.split("\\")])
            text = decode_bytes(element.value, encodings, TEXT_VR_DELIMS)
        except (LookupError, ValueError):
            text = element.value.decode("ascii", "replace")
    most = most or _CHARACTERS.get(vr_of(keyword), 64)
    return ", ".join(part.strip(" \0")[:most] for part in text.split("\\"))
