"""Write the part of a volume as the bytes of a NIfTI-1 file, which the page's NiiVue reads."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CODES = {"|u1": 2, "<i2": 4}
_HEADER_BYTES = 348
_OFFSET = 352
_MM = 2
_SCANNER = 1


def nifti_bytes(voxels: NDArray[Any], affine: NDArray[np.float64]) -> tuple[bytes, memoryview]:
    """Return the header and the voxels of a .nii file; the voxels are copied once.

    Args:
        voxels: (z, y, x), uint8 or int16.
        affine: 3×4 matrix from voxel indices (x, y, z) to mm, in RAS.
    """
    whole = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<"))
    header = bytearray(_OFFSET)
    struct.pack_into("<i", header, 0, _HEADER_BYTES)
    struct.pack_into("<8h", header, 40, 3, *whole.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, _CODES[whole.dtype.str], 8 * whole.itemsize)
    sides = np.linalg.norm(affine[:, :3], axis=0)
    struct.pack_into("<8f", header, 76, 1, *sides, 0, 0, 0, 0)
    struct.pack_into("<fff", header, 108, _OFFSET, 1, 0)
    header[123] = _MM
    struct.pack_into("<hh", header, 252, 0, _SCANNER)
    struct.pack_into("<12f", header, 280, *affine.ravel())
    header[344:348] = b"n+1\0"
    return bytes(header), whole.data.cast("B")
