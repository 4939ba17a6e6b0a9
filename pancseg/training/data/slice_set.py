"""What a set of stored slices is: one frozen settings object per YAML in ``slice_sets/``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from pancseg.segmentation.checkpoint import Window
from pancseg.system.yaml_file import read_yaml_mapping, settings_of, shipped_or_own

SLICE_SETS = Path(__file__).parents[1] / "slice_sets"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SliceSource(_Frozen):
    """A folder of axial slices (``images/``, ``masks/``) with an ``index.csv``.

    The index has one row per slice with at least ``file``, ``patient`` and ``split`` (train or
    val). Masks are foreground above 127.

    Attributes:
        index: the index file, relative to the data folder.
        folder: the folder that holds ``images`` and ``masks``; may contain ``{part}``, which is
            taken from the index's column of that name.
        where: only rows whose columns have these values.
        cohort: put before the patients' numbers, so that those of two cohorts do not meet.
        grey_hu: HU of grey 0 and of grey 255.
        flip_y: the slices show the spine at the top.
        box: the pictures show only a part of a slice: its x, y, width and height in pixels of a
            frame of ``frame`` × ``frame``, or ``"columns"`` when the index carries them (``x0``,
            ``y0``, ``w``, ``h``, ``frame``). Outside is blank and left out of loss and scores.
        frame: rows and columns of the whole slice that ``box`` lies in.
        share: so much of its training slices is seen in an epoch, drawn anew each time.
        in_validation: its val slices count in the validation after each epoch.
    """

    index: str
    folder: str
    where: dict[str, str] = {}
    cohort: str = ""
    grey_hu: Window
    flip_y: bool = False
    box: tuple[int, int, int, int] | Literal["columns"] | None = None
    frame: PositiveInt = 512
    share: float = Field(1.0, gt=0, le=1)
    in_validation: bool = True


class PhantomSource(_Frozen):
    """Slices of synthetic abdomens (:mod:`pancseg.phantom`), one patient per seed."""

    train_seeds: tuple[int, int]
    val_seeds: tuple[int, int]
    slices_per_patient: PositiveInt = 14


class Provenance(_Frozen):
    """What weights are made from: goes into the checkpoint, word for word."""

    data: str
    licence: str
    attribution: str
    intended_use: str


class SliceSet(_Frozen):
    """Stored slices to train on, and the widest window in HU that all of them can serve."""

    window_hu: Window
    provenance: Provenance
    sources: tuple[SliceSource, ...] = ()
    phantoms: PhantomSource | None = None


def load_slice_set(name_or_path: str) -> SliceSet:
    """Read a shipped description of slices by its name, or any YAML file by its path.

    Raises:
        FileNotFoundError: neither a shipped description nor a file.
        ValueError: not YAML, a key unknown or given twice, or a value out of range.
    """
    path = shipped_or_own(name_or_path, SLICE_SETS, "slice set")
    return settings_of(SliceSet, read_yaml_mapping(path, path.name), path.name)
