"""Define and read descriptions of stored slices: the YAML files in ``slice_sets/``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt

from pancseg.segmentation.checkpoint import Window
from pancseg.system.yaml_file import FrozenModel, read_yaml_mapping, settings_of, shipped_or_own

SLICE_SETS = Path(__file__).parents[1] / "slice_sets"


class SliceSource(FrozenModel):
    """A folder of axial slices (``images/``, ``masks/``) with an ``index.csv``.

    The index has one row per slice, with at least the columns ``file``, ``patient`` and ``split``
    (train or val). Pixels of masks above 127 are pancreas.

    Attributes:
        index: the index file, relative to the data folder.
        folder: the folder with ``images`` and ``masks``, relative to the data folder. A column's
            name in braces, such as ``{part}``, is replaced by the row's value.
        where: use only rows whose columns have these values.
        cohort: prefix of the patients' numbers, which keeps patients of two cohorts apart.
        grey_hu: HU of grey 0 and of grey 255.
        flip_y: whether the slices show the spine at the top.
        box: for pictures of a part of a slice, its x, y, width and height in pixels of a slice of
            ``frame`` × ``frame``, or ``"columns"`` if the index has them (``x0``, ``y0``, ``w``,
            ``h``, ``frame``). The rest of the slice is blank and does not count in loss and scores.
        frame: rows and columns of the whole slice that contains ``box``.
        share: share of the training slices that an epoch uses; each epoch draws others.
        in_validation: whether the val slices count in the validation after each epoch.
    """

    index: str
    folder: str
    where: dict[str, str] = Field(default_factory=dict)
    cohort: str = ""
    grey_hu: Window
    flip_y: bool = False
    box: tuple[int, int, int, int] | Literal["columns"] | None = None
    frame: PositiveInt = 512
    share: float = Field(1.0, gt=0, le=1)
    in_validation: bool = True


class PhantomSource(FrozenModel):
    """Slices of synthetic abdomens (:mod:`pancseg.phantom`), one patient per seed.

    Attributes:
        train_seeds: first and last seed of the training patients.
        val_seeds: first and last seed of the validation patients.
        slices_per_patient: number of slices, evenly spaced over the volume.
    """

    train_seeds: tuple[int, int]
    val_seeds: tuple[int, int]
    slices_per_patient: PositiveInt = 14


class Provenance(FrozenModel):
    """What weights are made from; copied unchanged into the checkpoint."""

    data: str
    licence: str
    attribution: str
    intended_use: str


class SliceSet(FrozenModel):
    """Stored slices to train on, and the widest window in HU that all of them cover."""

    window_hu: Window
    provenance: Provenance
    sources: tuple[SliceSource, ...] = ()
    phantoms: PhantomSource | None = None


def load_slice_set(name_or_path: str) -> SliceSet:
    """Read a shipped slice set by its name, or any YAML file by its path.

    Raises:
        FileNotFoundError: neither a shipped slice set nor a file.
        ValueError: not YAML, a key that is unknown or given twice, or a value out of range.

    Example:
        >>> load_slice_set("open_nih").provenance.licence
        'CC-BY-3.0'
    """
    path = shipped_or_own(name_or_path, SLICE_SETS, "slice set")
    return settings_of(SliceSet, read_yaml_mapping(path, path.name), path.name)
