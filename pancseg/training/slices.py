"""Slices to train on: indexed image folders or phantoms → uint8 arrays in one common frame.

The frame is that of :mod:`pancseg.segmentation.preprocess`: axial, rows from anterior to posterior,
columns from the patient's right to left (LPS), HU clipped to the window. Knows no network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from pancseg.segmentation.checkpoint import Preprocessing
from pancseg.segmentation.preprocess import SliceGrid
from pancseg.training.recipe import Recipe, SliceSource


@dataclass(frozen=True)
class LabelledSlice:
    """One slice: ``image`` uint8 ``(y, x)``, window scaled to 0..255; ``mask`` bool ``(y, x)``."""

    patient: str
    split: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]


class NativeSlice(NamedTuple):
    """A slice as it is stored: HU and mask ``(y, x)``; ``part`` is the index's column, or empty."""

    patient: str
    split: str
    part: str
    hu: NDArray[np.float32]
    mask: NDArray[np.bool_]


def read_slices(recipe: Recipe, data: Path) -> list[LabelledSlice]:
    """Read all slices of a recipe's sources, in the order of their index files.

    Raises:
        ValueError: no slice in a split, or one patient in both splits.
        FileNotFoundError: an index, image or mask is not there.
    """
    slices = [s for source in recipe.slices for s in _indexed(source, data, recipe)]
    if recipe.phantoms is not None:
        from pancseg.training.phantoms import phantom_slices

        slices += phantom_slices(recipe.phantoms, recipe)
    patients = {
        split: {s.patient for s in slices if s.split == split} for split in ("train", "val")
    }
    for split, members in patients.items():
        if not members:
            raise ValueError(f"no slice in the {split} split of {data}")
    if both := patients["train"] & patients["val"]:
        raise ValueError(f"patients in both splits: {', '.join(sorted(both))}")
    return slices


def native_slices(source: SliceSource, data: Path) -> Iterator[NativeSlice]:
    """Yield a source's slices at their own resolution, upright, in HU, one at a time."""
    index = pd.read_csv(data / source.index)
    offsets = _offsets(index, source, data)
    for row, (scale, offset) in zip(_records(index), offsets, strict=True):
        folder = data / source.folder.format(**row)
        hu = _grey(folder / "images" / row["file"]) * scale + offset
        mask = _grey(folder / "masks" / row["file"]) > 127
        if source.flip_y:
            hu, mask = hu[::-1], mask[::-1]
        part = str(row.get("part", ""))
        yield NativeSlice(_patient(row["patient"]), row["split"], part, hu, mask)


def grid_of(shape: tuple[int, ...], recipe: Recipe) -> SliceGrid:
    """Return the maps to the network's grid for slices whose spacing is unknown (taken as 1 mm)."""
    settings = Preprocessing(window_hu=recipe.window_hu, size=recipe.size, smallest_field_mm=1)
    return SliceGrid.for_slices((shape[0], shape[1]), (1.0, 1.0), settings)


def on_network_grid(
    image_hu: NDArray[Any], mask: NDArray[Any], grid: SliceGrid
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return slices ``(n, y, x)`` as the network sees them, in 0..255, and their masks."""
    pixels = np.rint(grid.to_network(image_hu) * 255).astype(np.uint8)
    inside = (grid.down_y @ mask.astype(np.float32) @ grid.down_x.T) >= 0.5
    return pixels, inside


def _indexed(source: SliceSource, data: Path, recipe: Recipe) -> list[LabelledSlice]:
    slices = []
    for native in native_slices(source, data):
        grid = grid_of(native.hu.shape, recipe)
        pixels, inside = on_network_grid(native.hu[None], native.mask[None], grid)
        slices.append(LabelledSlice(native.patient, native.split, pixels[0], inside[0]))
    return slices


def _offsets(index: pd.DataFrame, source: SliceSource, data: Path) -> list[tuple[float, float]]:
    """Return (HU per grey, HU of grey 0) for each row.

    With ``per_slice`` the mean HU inside the mask fixes the offset; slices without pancreas take
    the median offset of their patient.
    """
    if source.grey_hu != "per_slice":
        low, high = source.grey_hu
        return [((high - low) / 255, low)] * len(index)
    offsets = []
    for row in _records(index):
        folder = data / source.folder.format(**row)
        inside = _grey(folder / "images" / row["file"])[_grey(folder / "masks" / row["file"]) > 127]
        mean = float(inside.mean()) if inside.size else np.nan
        offsets.append(row["mean_hu_in"] - mean * row["hu_per_grey"])
    offset = pd.Series(offsets, index=index.index)
    filled = offset.fillna(offset.groupby(index["patient"]).transform("median"))
    return list(zip(index["hu_per_grey"].astype(float), filled.astype(float), strict=True))


def _patient(written: object) -> str:
    """Return a patient's number, however the index writes it (2, 0002, PANCREAS_0002)."""
    number = re.search(r"\d+$", str(written))
    return str(int(number[0])) if number else str(written)


def _records(index: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in index.to_dict("records")]


def _grey(path: Path) -> NDArray[np.float32]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"), dtype=np.float32)
