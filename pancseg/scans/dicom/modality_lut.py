"""Turn stored values into HU by the table (Modality LUT) of a file without rescale values."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancseg.scans.dicom.elements import DataSet
from pancseg.scans.dicom.values import UnusableHeader, tag

MOST_BYTES = 1 << 17
"""Bytes of a table of 65,536 entries, the longest that there can be."""


class ModalityLut(NamedTuple):
    """A table from stored values to HU.

    Attributes:
        first: the stored value of the first entry.
        data: the entries.
        kind: type of an entry, for NumPy.
    """

    first: int
    data: bytes
    kind: str

    @property
    def values(self) -> NDArray[Any]:
        """The entries as numbers."""
        return np.frombuffer(self.data, self.kind)

    def of(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the entries of stored values; values beyond an end take the entry at that end."""
        table = self.values
        return table[np.clip(stored.astype(np.int64) - self.first, 0, len(table) - 1)]


def modality_lut(data_set: DataSet, big_endian: bool, signed: bool) -> ModalityLut | None:
    """Return the table of a file; None if it has none.

    Args:
        data_set: the file's elements.
        big_endian: byte order of the file.
        signed: whether stored values are signed.

    Raises:
        UnusableHeader: the table and its description do not fit together.
    """
    sequence = data_set.get(tag("ModalityLUTSequence"))
    if sequence is None or not sequence.items:
        return None
    item = sequence.items[0]
    described, data = item.get(tag("LUTDescriptor")), item.get(tag("LUTData"))
    if described is None or data is None or described.length != 6:
        raise UnusableHeader("ModalityLUTSequence has no LUTDescriptor of 3 values, or no LUTData")
    order = ">" if big_endian else "<"
    first_kind = f"{order}i2" if signed else f"{order}u2"
    count = int(np.frombuffer(described.value[:2], f"{order}u2")[0]) or 1 << 16
    first = int(np.frombuffer(described.value[2:4], first_kind)[0])
    bits = int(np.frombuffer(described.value[4:6], f"{order}u2")[0])
    if data.length == 2 * count and 8 <= bits <= 16:
        kind = f"{order}i2" if data.vr == "SS" else f"{order}u2"
    elif data.length - count in (0, 1) and bits == 8:
        kind = "u1"
    else:
        raise UnusableHeader(
            f"LUTData has {data.length} bytes (expected {count} entries of {bits} bits)"
        )
    return _shared(first, data.value[: count * np.dtype(kind).itemsize], kind)


@lru_cache(maxsize=4)
def _shared(first: int, data: bytes, kind: str) -> ModalityLut:
    """Return one object for equal tables, as every slice of a series has its own copy."""
    return ModalityLut(first, data, kind)
