"""Walk through the elements of a DICOM file, within bounds, and keep those that are asked for.

Nothing else of the file is kept, and every length is checked against the file's end before it is
used. pydicom builds an object for every item (a header of 2.5 million empty items takes it 1.8 GB)
and calls itself for every nested sequence.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import BinaryIO, Literal, NamedTuple

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.detect import data_start

UNDEFINED = 0xFFFFFFFF
TRANSFER_SYNTAX = 0x00020010
PIXELS = 0x7FE00010
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_HEAD, _HEAD_BIG = struct.Struct("<HHI"), struct.Struct(">HHI")
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_AFTER_PIXELS = (0x7FE0, 0x7FE1, 0xFFFA)
"""Groups after the pixels in which elements without a VR are looked for: private, signatures."""
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""VRs that are followed by a length of four bytes (PS3.5, 7.1.2)."""
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())

MOST_ELEMENTS = 1_000_000
"""Elements and items of one file; an enhanced CT of 5,000 frames has 750,000."""
MOST_BEFORE_PIXELS = 50_000
"""Elements of a single slice's file up to its geometry, including those of nested sequences."""
MOST_ITEMS = 150_000
"""Items that are kept, and fragments of pixels; an enhanced CT of 5,000 frames has 25,000."""
DEEPEST = 32
"""Sequences in sequences; an enhanced CT has 4."""


class DamagedDicom(ValueError):
    """The file begins like a DICOM file but cannot be read."""


class Element(NamedTuple):
    """One element of a data set.

    Attributes:
        vr: its value representation as the file states it; empty where it states none.
        value: its first bytes, as many as were asked for.
        length: number of bytes of the whole value.
        items: data sets of a sequence that was asked for.
    """

    vr: str
    value: bytes
    length: int
    items: tuple[DataSet, ...] = ()


DataSet = dict[int, Element]
"""The elements that were asked for, by tag."""


class Pixels(NamedTuple):
    """Where the stored pixels are.

    Attributes:
        parts: offset and length in the file: of all pixels, or of each fragment of packed pixels.
        packed: whether they are in fragments.
        starts: number of the fragment with which each frame begins, as the basic offset table says;
            empty without a usable table.
    """

    parts: tuple[tuple[int, int], ...]
    packed: bool
    starts: tuple[int, ...] = ()


class ElementWalk:
    """A way through one DICOM file: its meta information first, then its data set.

    Attributes:
        stated_syntax: transfer syntax of the file's meta information; empty if it has none.
        explicit: whether the data set states its VRs, by its first element.
        big_endian: the data set's byte order, by its first element, which is of a group below 256.
    """

    def __init__(self, file: BinaryIO, most_elements: int | None = None) -> None:
        """Read the meta information.

        Args:
            file: the file, opened for reading.
            most_elements: number of elements and items after which the walk ends with an error;
                by default ``MOST_ELEMENTS``.

        Raises:
            DamagedDicom: the file is not DICOM, or ends within its meta information.
        """
        self._file = file
        self._most_elements = MOST_ELEMENTS if most_elements is None else most_elements
        self._end = file.seek(0, 2)
        file.seek(0)
        start = data_start(file.read(1024))
        if start is None:
            raise DamagedDicom("it does not begin like a DICOM file")
        self._go_to(start)
        self._count = self._items = 0
        self.explicit, self.big_endian = True, False
        self.stated_syntax = self._meta()
        first = self._peek(8)
        groups = [int.from_bytes(first[:2], order) for order in ("little", "big")]
        stated_big = self.stated_syntax == _BIG_ENDIAN
        self.big_endian = min(groups) == groups[1] if min(groups) <= 0xFF else stated_big
        self.explicit = first[4:6] in _LONG or first[4:6] in _SHORT

    def data_set(
        self, wanted: Mapping[int, int], last: int = PIXELS
    ) -> tuple[DataSet, Pixels | None]:
        """Return the elements that are asked for, and the place of the pixels.

        Args:
            wanted: tag → most bytes to keep of its value; 0 for a sequence, whose items are kept
                with the wanted elements in them.
            last: tag after which the walk ends.

        Raises:
            DamagedDicom: the file is cut off, or a length points beyond its end.
            UnusableCase: ``unreadable`` for more elements than a CT has.
        """
        kept: DataSet = {}
        while self._at < self._end:
            tag, vr, length = self._head(self.explicit)
            if tag == PIXELS:
                return kept, self._pixels(length)
            if tag > last and tag >> 16 != 0xFFFE:
                return kept, None
            self._take_in(kept, wanted, (tag, vr, length), self.explicit, 0)
        return kept, None

    def _meta(self) -> str:
        syntax = b""
        while self._end - self._at >= 8 and self._peek(2) == b"\x02\0":
            tag, _, length = self._head(True)
            if tag == TRANSFER_SYNTAX:
                syntax = self._read(min(length, 64))
                length = max(length - 64, 0)
            self._skip(length)
        return syntax.decode("ascii", "replace").strip(" \0")

    def _take_in(
        self,
        kept: DataSet,
        wanted: Mapping[int, int],
        head: tuple[int, bytes, int],
        explicit: bool,
        depth: int,
    ) -> None:
        """Read over one element; keep what is wanted of it."""
        tag, vr, length = head
        most = wanted.get(tag)
        if most == 0:
            items = self._sequence(vr, length, wanted, explicit and vr != b"UN", depth + 1)
            kept[tag] = Element("SQ", b"", length, items)
        elif length == UNDEFINED:
            self._sequence(vr, length, {}, explicit and vr != b"UN", depth + 1)
        elif most is None:
            self._skip(length)
        else:
            value = self._read(min(most, length))
            self._skip(length - len(value))
            kept[tag] = Element(vr.decode("ascii"), value, length)

    def _sequence(
        self, vr: bytes, length: int, wanted: Mapping[int, int], explicit: bool, depth: int
    ) -> tuple[DataSet, ...]:
        """Read over a sequence, or over fragments; return its items if anything is wanted."""
        if depth > DEEPEST:
            raise _too_much(f"sequences nested more than {DEEPEST} deep")
        end = self._end if length == UNDEFINED else self._at + length
        if end > self._end:
            raise _cut_off()
        items: list[DataSet] = []
        while self._at < end:
            tag, _, length_of_item = self._head(explicit)
            if tag == _END_OF_SEQUENCE:
                return tuple(items)
            if tag != _ITEM:
                raise DamagedDicom("a sequence holds something other than items")
            if not wanted and length_of_item != UNDEFINED:
                self._skip(length_of_item)
                continue
            item = self._item(length_of_item, wanted, explicit, depth)
            if wanted:
                self._count_item()
                items.append(item)
        if length == UNDEFINED:
            raise _cut_off()
        return tuple(items)

    def _item(self, length: int, wanted: Mapping[int, int], explicit: bool, depth: int) -> DataSet:
        end = self._end if length == UNDEFINED else self._at + length
        if end > self._end:
            raise _cut_off()
        kept: DataSet = {}
        while self._at < end:
            head = self._head(explicit)
            if head[0] == _END_OF_ITEM:
                return kept
            self._take_in(kept, wanted, head, explicit, depth)
        if length == UNDEFINED:
            raise _cut_off()
        return kept

    def _pixels(self, length: int) -> Pixels:
        if length != UNDEFINED:
            if (missing := length - (self._end - self._at)) > 0:
                raise DamagedDicom(f"{missing} bytes of pixels are missing (cut off?)")
            found = Pixels(((self._at, length),), packed=False)
            self._skip(length)
        else:
            found = self._fragments()
        self._look_at_the_rest()
        return found

    def _fragments(self) -> Pixels:
        found: list[tuple[int, int]] = []
        table: tuple[int, ...] = ()
        while True:
            head = self._read(8)
            tag, length = head[:4], int.from_bytes(head[4:], "little")
            if tag == b"\xfe\xff\xdd\xe0":
                break
            if tag != b"\xfe\xff\x00\xe0":
                raise DamagedDicom("a fragment of the pixels is missing")
            self._count_item()
            found.append((self._at, length))
            if len(found) == 1 and 0 < length <= 4 * MOST_ITEMS and length % 4 == 0:
                table = struct.unpack(f"<{length // 4}I", self._read(length))
            else:
                self._skip(length)
        parts = tuple(found[1:])
        first = parts[0][0] if parts else 0
        numbers = {offset - first: number for number, (offset, _) in enumerate(parts)}
        starts = tuple(numbers.get(offset, -1) for offset in table)
        usable = starts[:1] == (0,) and all(a < b for a, b in pairwise(starts))
        return Pixels(parts, packed=True, starts=starts if usable else ())

    def _look_at_the_rest(self) -> None:
        """Check the elements after the pixels; the first thing that is none ends the file."""
        while self._end - self._at >= 8:
            tag, vr, length = self._head(self.explicit)
            known = vr if self.explicit else tag >> 16 in _AFTER_PIXELS
            if tag <= PIXELS or tag >> 16 == 0xFFFE or not known:
                return
            if length == UNDEFINED:
                self._sequence(vr, length, {}, self.explicit and vr != b"UN", 1)
            else:
                self._skip(length)

    def _head(self, explicit: bool) -> tuple[int, bytes, int]:
        """Return the tag, the stated VR and the length of the next element or item."""
        self._count += 1
        if self._count > self._most_elements:
            raise _too_much(f"more than {self._most_elements:,} elements")
        raw = self._read(8)
        group, number, length = (_HEAD_BIG if self.big_endian else _HEAD).unpack(raw)
        tag, vr = group << 16 | number, raw[4:6]
        if group == 0xFFFE or not explicit:
            return tag, b"", length
        order: Literal["little", "big"] = "big" if self.big_endian else "little"
        if vr in _SHORT:
            return tag, vr, int.from_bytes(raw[6:], order)
        if vr in _LONG:
            return tag, vr, int.from_bytes(self._read(4), order)
        return tag, b"", length

    def _count_item(self) -> None:
        self._items += 1
        if self._items > MOST_ITEMS:
            raise _too_much(f"more than {MOST_ITEMS:,} items")

    def _read(self, count: int) -> bytes:
        found = self._file.read(count) if count <= self._end - self._at else b""
        if len(found) != count:
            raise _cut_off()
        self._at += count
        return found

    def _peek(self, count: int) -> bytes:
        found = self._read(count)
        self._go_to(self._at - count)
        return found

    def _skip(self, count: int) -> None:
        if count > self._end - self._at:
            raise _cut_off()
        if count:
            self._go_to(self._at + count)

    def _go_to(self, place: int) -> None:
        self._at = place
        self._file.seek(place)


def clean_uid(text: str) -> str:
    """Return a UID without padding, and with ``?`` for what no UID contains."""
    return re.sub("[^0-9A-Za-z.]", "?", text.strip(" \0"))


def _cut_off() -> DamagedDicom:
    return DamagedDicom("a value goes beyond the end of the file (cut off?)")


def _too_much(what: str) -> UnusableCase:
    return UnusableCase(
        "unreadable", f"the header of a DICOM file holds {what}; export the series again"
    )
