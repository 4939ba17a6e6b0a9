"""Define and read descriptions of stored slices: the YAML files in ``slice_sets/``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, PositiveInt, Tag, model_validator

from pancseg.segmentation.checkpoint import Window
from pancseg.system.yaml_file import FrozenModel, read_yaml_mapping, settings_of, shipped_or_own

SLICE_SETS = Path(__file__).parents[1] / "slice_sets"


LARGEST_FRAME = 4096
"""Most rows and columns of a whole slice; a CT has 512, a few have 1024."""
_MOST_SEEDS = 100_000


def _few(seeds: tuple[int, int]) -> tuple[int, int]:
    first, last = seeds
    if not 0 <= first <= last < first + _MOST_SEEDS:
        raise ValueError(f"expected a first and a last seed, at most {_MOST_SEEDS} patients")
    return seeds


_Seeds = Annotated[tuple[int, int], AfterValidator(_few)]


class SliceSource(FrozenModel):
    """A folder of axial slices (``images/``, ``masks/``) with an ``index.csv``.

    The index has one row per slice, with at least the columns ``file``, ``patient`` and ``split``
    (train or val). Pixels of masks above 127 are pancreas.

    Attributes:
        index: the index file, relative to the data folder.
        folder: the folder with ``images`` and ``masks``, relative to the data folder. A column's
            name in braces, such as ``{part}``, is replaced by the row's value.
        where: use only rows whose columns have these values.
        without: leave out rows whose columns have one of these values.
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
    without: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    cohort: str = ""
    grey_hu: Window
    flip_y: bool = False
    box: tuple[int, int, int, int] | Literal["columns"] | None = None
    frame: PositiveInt = Field(512, le=LARGEST_FRAME)
    share: float = Field(1.0, gt=0, le=1)
    in_validation: bool = True


class VolumeSource(FrozenModel):
    """One whole CT with a label map: its slices in the proportion in which a user has them.

    Attributes:
        kind: ``volume``.
        image: the CT, relative to the data folder.
        mask: its label map on the same grid: 1 is pancreas, 0 is not; none: only the slices that
            ``empty`` lists are used.
        unknown: the label of voxels of which it is not known. They do not count in loss and scores.
        empty: the slices that are seen to hold no pancreas: the first and the last of them, or a
            table with the columns ``slice`` and ``no_pancreas`` (1: holds none). Slices are counted
            from 0 in the stored order.
        patient: patient id.
        split: train or val.
        cohort: prefix of the patient's id.
        share: share of the training slices that an epoch uses; each epoch draws others.
        in_validation: whether a val CT's slices count in the validation after each epoch.
    """

    kind: Literal["volume"]
    image: str
    mask: str | None = None
    unknown: int | None = Field(None, ge=2)
    empty: str | tuple[int, int] | None = None
    patient: str
    split: Literal["train", "val"]
    cohort: str = ""
    share: float = Field(1.0, gt=0, le=1)
    in_validation: bool = True

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        if self.mask is None and self.empty is None:
            raise ValueError("a volume needs a mask, or `empty`, its slices without pancreas")
        return self


def _kind_of(source: object) -> str:
    """Return which description a source is meant to be, so that a message names its keys alone."""
    has_kind = "kind" in source if isinstance(source, dict) else hasattr(source, "kind")
    return "volume" if has_kind else "slices"


_Source = Annotated[
    Annotated[SliceSource, Tag("slices")] | Annotated[VolumeSource, Tag("volume")],
    Discriminator(_kind_of),
]


class PhantomSource(FrozenModel):
    """Slices of synthetic abdomens (:mod:`pancseg.phantom`), one patient per seed.

    Attributes:
        train_seeds: first and last seed of the training patients.
        val_seeds: first and last seed of the validation patients.
        slices_per_patient: number of slices, evenly spaced over the volume.
    """

    train_seeds: _Seeds
    val_seeds: _Seeds
    slices_per_patient: PositiveInt = Field(14, le=1000)


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
    sources: tuple[_Source, ...] = ()
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
    shipped = path.parent == SLICE_SETS
    what = f"the slice set {path.stem}" if shipped else "the file of the slice set"
    return settings_of(SliceSet, read_yaml_mapping(path, what), what)
