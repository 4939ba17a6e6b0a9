"""Read stored slices to train on: indexed folders of pictures, and phantoms.

All slices are brought to the frame of :mod:`pancseg.segmentation.preprocess`: axial, rows from
anterior to posterior, columns from the patient's right to left (LPS), HU clipped to the window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from pancseg.cohort.case import name_problem
from pancseg.segmentation.checkpoint import Preprocessing
from pancseg.system.regular_files import open_regular
from pancseg.training.data.labelled_slice import LabelledSlice, grid_of, on_network_grid
from pancseg.training.data.slice_set import LARGEST_FRAME, SliceSet, SliceSource, VolumeSource
from pancseg.training.data.volumes import volume_slices


class NativeSlice(NamedTuple):
    """A slice at its stored resolution, upright.

    Attributes:
        patient: cohort and number.
        split: ``train`` or ``val``.
        hu: the slice in HU, ``(y, x)``.
        mask: its mask.
        known: where the mask is known.
        shown: where the picture shows the slice; elsewhere it is blank.
    """

    patient: str
    split: str
    hu: NDArray[np.float32]
    mask: NDArray[np.bool_]
    known: NDArray[np.bool_]
    shown: NDArray[np.bool_]


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
            image, mask = on_network_grid(
                native.hu, native.mask, native.known, grid, shown=native.shown
            )
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
        patient_of(source.cohort, written)
        for source in slice_set.sources
        for written in _patients_written(source, data)
    }
    if slice_set.phantoms is not None:
        from pancseg.training.data.phantoms import phantom_patients

        patients |= set(phantom_patients(slice_set.phantoms))
    return patients


def native_slices(source: SliceSource | VolumeSource, data: Path) -> Iterator[NativeSlice]:
    """Yield a source's slices at their own resolution, upright, in HU, one at a time."""
    if isinstance(source, SliceSource):
        yield from _pictures(source, data)
        return
    patient = patient_of(source.cohort, source.patient)
    for one in volume_slices(source, data):
        yield NativeSlice(patient, source.split, *one, np.ones(one.hu.shape, bool))


def _patients_written(source: SliceSource | VolumeSource, data: Path) -> Sequence[str]:
    """Return the patients of a source as its description or its index spells them."""
    if isinstance(source, VolumeSource):
        return [source.patient]
    return _index(source, data)["patient"].tolist()


def _pictures(source: SliceSource, data: Path) -> Iterator[NativeSlice]:
    """Yield the slices of a folder of pictures."""
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
        patient = patient_of(source.cohort, row["patient"])
        yield NativeSlice(patient, row["split"], hu, mask, known, known)


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
        x, y, width, height, frame = (row[name] for name in ("x0", "y0", "w", "h", "frame"))
        if not _fits(x, width, frame) or not _fits(y, height, frame):
            raise ValueError(
                f"{source.index}: the box of {row['file']!r:.100} does not lie in its frame "
                f"(expected whole numbers, frame 1–{LARGEST_FRAME})"
            )
        return (x, y, width, height), frame
    assert source.box is not None
    return source.box, source.frame


def _fits(first: object, length: object, frame: object) -> bool:
    """Return whether a box's side lies within a frame that is not too large."""
    if not (isinstance(first, int) and isinstance(length, int) and isinstance(frame, int)):
        return False
    return 0 <= first < first + length <= frame <= LARGEST_FRAME


def _index(source: SliceSource, data: Path) -> pd.DataFrame:
    if not (data / source.index).exists():
        raise FileNotFoundError(
            f"the `data` folder has no {source.index}, which the slice set lists"
        )
    try:
        with open_regular(data / source.index) as file:
            index = pd.read_csv(file, dtype={"patient": str})
    except ValueError as error:  # pandas: no columns, or no CSV
        raise ValueError(f"{source.index} is not a CSV: {str(error).splitlines()[0]}") from error
    wanted = {"file", "patient", "split", *source.where, *source.without}
    if missing := sorted(wanted - set(index.columns)):
        raise ValueError(f"{source.index} has no column {', '.join(missing)}")
    for column, value in source.where.items():
        index = index[index[column].map(_written) == value]
    for column, values in source.without.items():
        index = index[~index[column].map(_written).isin(values)]
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
        other = names.setdefault(patient_of(source.cohort, one), one)
        if other != one:
            raise ValueError(
                f"{source.index}: patients {other} and {one} end in the same number, so they would "
                "be merged; give them different numbers, or spell the id the same way"
            )


def _written(value: object) -> str:
    """Return a cell as it was written: pandas turns 0 into 0.0 in a column with gaps."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def patient_of(cohort: str, written: object) -> str:
    """Return cohort and number, for any spelling in the index (2, 0002, PANCREAS_0002).

    Raises:
        ValueError: it cannot be the name of a file, which the patient's masks are named by.
    """
    text = str(written)
    number = text[len(text.rstrip("0123456789")) :]
    name = number.lstrip("0") or "0" if number else text
    whole = f"{cohort}-{name}" if cohort else name
    if problem := name_problem(whole):
        raise ValueError(f"a patient of the slices: {problem}")
    return whole


def _records(index: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in index.to_dict("records")]


def _grey(path: Path) -> NDArray[np.float32]:
    try:
        with open_regular(path) as file, Image.open(file) as picture:
            if max(picture.size) > LARGEST_FRAME:
                sides = "×".join(map(str, picture.size))
                raise OSError(0, f"{sides} pixels are too many (at most {LARGEST_FRAME} a side)")
            return np.asarray(picture.convert("L"), dtype=np.float32)
    except (
        OSError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:  # the second: a broken PNG
        reason = getattr(error, "strerror", None) or "it is not a picture, or damaged"
        raise ValueError(f"{path.parent.name}/{path.name} cannot be read: {reason}") from error
