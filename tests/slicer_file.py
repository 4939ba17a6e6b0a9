"""Write ``.seg.nrrd`` files as 3D Slicer does, for tests."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_seg_nrrd(
    path: Path,
    layers: Sequence[NDArray[np.uint8]],
    segments: Sequence[tuple[str, int, int]],
    *,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    sides: tuple[float, float, float] = (1.0, 1.0, 2.0),
    list_axis: bool | None = None,
) -> Path:
    """Write layers ``(z, y, x)`` and segments (name, value, layer), and return the path.

    Args:
        path: of the file.
        layers: label maps of one size.
        segments: what they mean.
        origin: position of the first voxel in LPS.
        sides: of a voxel (x, y, z) in mm.
        list_axis: whether the file has an axis of layers; None: if there are several.
    """
    listed = len(layers) > 1 if list_axis is None else list_axis
    z, y, x = layers[0].shape
    vectors = [str(tuple(side * (n == a) for a in range(3))) for n, side in enumerate(sides)]
    head = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "type: unsigned char",
        f"dimension: {3 + listed}",
        "space: left-posterior-superior",
        f"sizes: {f'{len(layers)} ' * listed}{x} {y} {z}",
        f"space directions: {'none ' * listed}{' '.join(v.replace(' ', '') for v in vectors)}",
        f"kinds: {'list ' * listed}domain domain domain",
        "encoding: gzip",
        f"space origin: {str(origin).replace(' ', '')}",
    ]
    for number, (name, value, layer) in enumerate(segments):
        head += [
            f"Segment{number}_ID:=Segment_{number + 1}",
            f"Segment{number}_LabelValue:={value}",
            f"Segment{number}_Layer:={layer}",
            f"Segment{number}_Name:={name}",
            f"Segment{number}_Extent:=0 {x - 1} 0 {y - 1} 0 {z - 1}",
        ]
    voxels = np.stack(layers, axis=-1).astype(np.uint8).tobytes()
    path.write_bytes("\n".join([*head, "", ""]).encode() + gzip.compress(voxels))
    return path
