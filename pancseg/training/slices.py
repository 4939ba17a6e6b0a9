"""Slices to train on: indexed image folders or phantoms → uint8 arrays in one common frame.

The frame is that of :mod:`pancseg.segmentation.preprocess`: axial, rows from anterior to posterior,
columns from the patient's right to left (LPS), HU clipped to the window. Knows no network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from pancseg.training.recipe import Recipe, SliceSource


@dataclass(frozen=True)
class LabelledSlice:
    """One slice: ``image`` uint8 ``(y, x)``, window scaled to 0..255; ``mask`` bool ``(y, x)``."""

    patient: str
    split: str
    image: NDArray[np.uint8]
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


def halve(pixels: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Average blocks of a square slice ``(y, x)`` down to ``size`` rows and columns."""
    factor = pixels.shape[0] // size
    if pixels.shape != (size * factor, size * factor):
        raise ValueError(f"a slice of {pixels.shape} does not divide into {size}×{size}")
    blocks = pixels.reshape(size, factor, size, factor)
    mean: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return mean


def to_window(hu: NDArray[np.float32], window_hu: tuple[float, float]) -> NDArray[np.float32]:
    """Clip HU to the window and scale it to 0..1."""
    low, high = window_hu
    return (np.clip(hu, low, high) - low) / (high - low)


def _indexed(source: SliceSource, data: Path, recipe: Recipe) -> list[LabelledSlice]:
    index = pd.read_csv(data / source.index)
    offsets = _offsets(index, source, data)
    slices = []
    for row, (scale, offset) in zip(_records(index), offsets, strict=True):
        folder = data / source.folder.format(**row)
        grey = _grey(folder / "images" / row["file"])
        mask = (_grey(folder / "masks" / row["file"]) > 127).astype(np.float32)
        image = halve(to_window(grey * scale + offset, recipe.window_hu), recipe.size)
        image8 = np.rint(image * 255).astype(np.uint8)
        mask_half = halve(mask, recipe.size) >= 0.5
        if source.flip_y:
            image8, mask_half = image8[::-1], mask_half[::-1]
        slices.append(LabelledSlice(_patient(row["patient"]), row["split"], image8, mask_half))
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
