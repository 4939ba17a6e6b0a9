"""Owns content hashes: the same voxels on the same grid, or the same settings, have the same one.

They let a row be traced without a path. Knows nothing about files.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.features.settings import FeatureSettings
from pancseg.scans.arrays import voxel_array


def of_image(image: sitk.Image) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of an image's voxels and geometry.

    What a file format does to a volume does not count. Whole numbers are hashed as the first of
    uint8, int16, int32 and int64 that holds them all, whatever their type; spacing and origin (mm)
    as float32, which is what NIfTI keeps; directions to three decimals. The order of the voxels
    counts: a volume whose axes run otherwise is another one. int16 scans are hashed in place, one
    of 512×512×280 in 0.2 s.
    """
    digest = hashlib.sha256(b"pancseg image 1\0")
    digest.update(_geometry(image))
    voxels = _canonical(voxel_array(image))
    digest.update(f"{voxels.dtype.str} {voxels.shape}".encode())
    digest.update(voxels.data.cast("B"))
    return digest.hexdigest()


def of_voxels(image: sitk.Image) -> str:
    """Return the SHA-256 of an image's voxels alone, wherever they lie and however they are turned.

    Size in mm, origin and direction do not count, nor in which order and which way the axes run:
    axes are put in order by their lengths, and turned, by what is in them (the sums of their
    planes). Only a volume whose sums are the same both ways, as a synthetic one's may be, can have
    several hashes.
    """
    digest = hashlib.sha256(b"pancseg voxels 1\0")
    voxels = _canonical(voxel_array(image))
    profiles = _plane_sums(voxels)
    flips = [bool(tuple(sums) > tuple(sums[::-1])) for sums in profiles]
    turned = [tuple(s[::-1] if flip else s) for s, flip in zip(profiles, flips, strict=True)]
    order = sorted(range(3), key=lambda axis: (len(turned[axis]), turned[axis]))
    voxels = voxels[tuple(slice(None, None, -1 if flip else 1) for flip in flips)].transpose(order)
    digest.update(f"{voxels.dtype.str} {voxels.shape}".encode())
    for plane in voxels:
        digest.update(np.ascontiguousarray(plane).data.cast("B"))
    return digest.hexdigest()


def _plane_sums(voxels: NDArray[Any]) -> list[NDArray[np.int64]]:
    """Return for each axis the sum of each plane across it; floats count by their bits.

    So sums are exact (but for whole turns of 2^64) in whatever order they are made.
    """
    sums = [np.zeros(length, np.int64) for length in voxels.shape]
    for index, plane in enumerate(voxels):
        whole = plane if plane.dtype.kind in "iu" else plane.view(f"<i{plane.itemsize}")
        rows = whole.sum(axis=1, dtype=np.int64)
        sums[0][index] = rows.sum()
        sums[1] += rows
        sums[2] += whole.sum(axis=0, dtype=np.int64)
    return sums


def of_settings(settings: FeatureSettings) -> str:
    """Return the SHA-256 of everything that these settings say; their name does not count."""
    content = settings.model_dump(mode="json", exclude={"name"})
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _geometry(image: sitk.Image) -> bytes:
    """Pack size, spacing, origin and direction; adding 0 makes -0 into 0."""
    lengths = np.array([*image.GetSpacing(), *image.GetOrigin()], "<f4") + np.float32(0)
    directions = np.rint(np.array(image.GetDirection()) * 1000).astype("<i2")
    parts = (np.array(image.GetSize(), "<i8"), lengths, directions)
    return b"".join(part.tobytes() for part in parts)


def _canonical(voxels: NDArray[Any]) -> NDArray[Any]:
    """Return contiguous little-endian voxels in the first of a few types that keeps them all."""
    voxels = np.ascontiguousarray(voxels)
    low, high = voxels.min(), voxels.max()
    for kind in ("|u1", "<i2", "<i4", "<i8"):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            whole = voxels.astype(kind, copy=False)
            if np.issubdtype(voxels.dtype, np.integer) or np.array_equal(whole, voxels):
                return whole
            break
    single = voxels.astype("<f4", copy=False)
    return single if np.array_equal(single, voxels) else voxels.astype("<f8", copy=False)
