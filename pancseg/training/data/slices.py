"""Read stored slices to train on: indexed folders of pictures, and phantoms.

All slices are brought to the frame of :mod:`pancseg.segmentation.preprocess`: axial, rows from
anterior to posterior, columns from the patient's right to left (LPS), HU clipped to the window.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from pancseg.segmentation.checkpoint import Preprocessing
from pancseg.training.data.labelled_slice import LabelledSlice, grid_of, on_network_grid
from pancseg.training.data.slice_set import SliceSet, SliceSource


class NativeSlice(NamedTuple):
    """A slice at its stored resolution, upright.

    Attributes:
        patient: cohort and number.
        split: ``train`` or ``val``.
        hu: the slice in HU, ``(y, x)``.
        mask: its mask.
        known: where both are known.
    """

    patient: str
    split: str
    hu: NDArray[np.float32]
    mask: NDArray[np.bool_]
    known: NDArray[np.bool_]


def read_slices(
    slice_set: SliceSet,
    data: Path,
    preprocessing: Preprocessing,
    part_of: Callable[[str], str | None] | None = None,
) -> list[LabelledSlice]:
    """Read the slices of a set: by source, in the order of the index files, and phantoms last.

    Args:
        slice_set: the description of the slices.
        data: the folder that its paths are relative to.
        preprocessing: the conversion to the network's grid.
        part_of: returns a patient's split, or None for a patient in neither; by default the split
            is that of the index.

    Raises:
        ValueError: an index lacks a column, a picture is missing or damaged, or image and mask
            differ in size.
        FileNotFoundError: an index does not exist.
    """
    slices = []
    for number, source in enumerate(slice_set.sources):
        for native in native_slices(source, data):
            split = part_of(native.patient) if part_of else native.split
            if split is None or (split == "val" and not source.in_validation):
                continue
            grid = grid_of(native.hu.shape, preprocessing)
            image, mask = on_network_grid(native.hu, native.mask, native.known, grid)
            slices.append(LabelledSlice(native.patient, split, image, mask, number))
    if slice_set.phantoms is not None:
        from pancseg.training.data.phantoms import phantom_slices

        for made in phantom_slices(slice_set.phantoms, preprocessing):
            if split := part_of(made.patient) if part_of else made.split:
                slices.append(replace(made, split=split, source=len(slice_set.sources)))
    return slices


def patients_of(slice_set: SliceSet, data: Path) -> set[str]:
    """Return the patients of a set, read only from its index files and its phantoms' seeds.

    Raises:
        ValueError, FileNotFoundError: an index cannot be used, as for :func:`read_slices`.
    """
    patients = {
        _patient(source.cohort, written)
        for source in slice_set.sources
        for written in _index(source, data)["patient"]
    }
    if slice_set.phantoms is not None:
        from pancseg.training.data.phantoms import phantom_patients

        patients |= set(phantom_patients(slice_set.phantoms))
    return patients


def native_slices(source: SliceSource, data: Path) -> Iterator[NativeSlice]:
    """Yield a source's slices at their own resolution, upright, in HU, one at a time."""
    low, high = source.grey_hu
    for row in _records(_index(source, data)):
        folder = data / source.folder.format(**row)
        hu = _grey(folder / "images" / row["file"]) * ((high - low) / 255) + low
        mask = _grey(folder / "masks" / row["file"]) > 127
        if hu.shape != mask.shape:
            raise ValueError(
                f"{source.index}: image and mask of {row['file']} differ in size: "
                f"{hu.shape[1]}×{hu.shape[0]} and {mask.shape[1]}×{mask.shape[0]}"
            )
        if source.flip_y:
            hu, mask = hu[::-1], mask[::-1]
        known = np.ones(mask.shape, dtype=bool)
        if source.box is not None:
            hu, mask, known = _placed(hu, mask, *_box(source, row))
        patient = _patient(source.cohort, row["patient"])
        yield NativeSlice(patient, row["split"], hu, mask, known)


def _placed(
    hu: NDArray[np.float32], mask: NDArray[np.bool_], box: tuple[int, int, int, int], frame: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the whole slice with a picture of a part of it at its position, resized to fit."""
    x, y, width, height = box
    here = (slice(y, y + height), slice(x, x + width))
    whole_hu = np.zeros((frame, frame), np.float32)
    whole_mask, known = np.zeros((2, frame, frame), bool)
    if hu.shape != (height, width):
        to_box = (width, height)
        hu = np.asarray(Image.fromarray(hu).resize(to_box, Image.Resampling.BILINEAR))
        share = Image.fromarray(mask.astype(np.float32)).resize(to_box, Image.Resampling.BILINEAR)
        mask = np.asarray(share) >= 0.5
    whole_hu[here], whole_mask[here], known[here] = hu, mask, True
    return whole_hu, whole_mask, known


def _box(source: SliceSource, row: dict[str, Any]) -> tuple[tuple[int, int, int, int], int]:
    if source.box == "columns":
        return (row["x0"], row["y0"], row["w"], row["h"]), row["frame"]
    assert source.box is not None
    return source.box, source.frame


def _index(source: SliceSource, data: Path) -> pd.DataFrame:
    if not (data / source.index).is_file():
        raise FileNotFoundError(
            f"the `data` folder has no {source.index}, which the slice set lists"
        )
    index = pd.read_csv(data / source.index, dtype={"patient": str})
    wanted = {"file", "patient", "split", *source.where}
    if missing := sorted(wanted - set(index.columns)):
        raise ValueError(f"{source.index} has no column {', '.join(missing)}")
    for column, value in source.where.items():
        index = index[index[column].map(_written) == value]
    index = index.reset_index(drop=True)
    index["patient"] = index["patient"].str.strip().replace("", None)
    _check_patients(source, index["patient"])
    return index


def _check_patients(source: SliceSource, written: pd.Series[str]) -> None:
    """Refuse rows without a patient, and patients who would be merged by the same number."""
    if written.isna().any():
        raise ValueError(
            f"{source.index}: {int(written.isna().sum())} of {len(written)} rows have no patient"
        )
    names: dict[str, str] = {}
    for one in written.unique():
        other = names.setdefault(_patient(source.cohort, one), one)
        if other != one:
            raise ValueError(
                f"{source.index}: patients {other} and {one} end in the same number, so they would "
                "be merged; give them different numbers, or spell the id the same way"
            )


def _written(value: object) -> str:
    """Return a cell as it was written: pandas turns 0 into 0.0 in a column with gaps."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _patient(cohort: str, written: object) -> str:
    """Return cohort and number, for any spelling in the index (2, 0002, PANCREAS_0002)."""
    number = re.search(r"\d+$", str(written))
    name = str(int(number[0])) if number else str(written)
    return f"{cohort}-{name}" if cohort else name


def _records(index: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in index.to_dict("records")]


def _grey(path: Path) -> NDArray[np.float32]:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L"), dtype=np.float32)
    except (OSError, SyntaxError) as error:  # the second: a broken PNG
        reason = getattr(error, "strerror", None) or "it is not a picture, or damaged"
        raise ValueError(f"{path.parent.name}/{path.name} cannot be read: {reason}") from error
