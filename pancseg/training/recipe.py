"""Training recipes: one frozen settings object per YAML in ``recipes/``. Knows no torch."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt


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
        grey_hu: HU of grey 0 and of grey 255; or ``"per_slice"`` when the index carries
            ``hu_per_grey`` and ``mean_hu_in`` (HU per grey step, mean HU inside the mask).
        flip_y: the slices show the spine at the top.
    """

    index: str
    folder: str
    grey_hu: tuple[float, float] | Literal["per_slice"]
    flip_y: bool = False


class PhantomSource(_Frozen):
    """Slices of synthetic abdomens (:mod:`pancseg.phantom`), one patient per seed."""

    train_seeds: tuple[int, int]
    val_seeds: tuple[int, int]
    slices_per_patient: PositiveInt = 14


class Augmentation(_Frozen):
    """Random changes of a slice. Geometry as in arXiv 2009.00872: rotation, zoom, shift."""

    rotation_deg: float = 10.0
    zoom: float = 0.25
    shift: float = 0.2
    intensity_scale: float = 0.2
    intensity_shift: float = 0.08
    noise_std: float = 0.04
    blur_sigma_px: float = 1.0


class Provenance(_Frozen):
    """What the weights were made from: goes into the checkpoint, word for word."""

    data: str
    licence: str
    attribution: str
    intended_use: str


class Recipe(_Frozen):
    """Everything that decides the outcome of a training, data aside."""

    network: str = "monet"
    slices: tuple[SliceSource, ...] = ()
    phantoms: PhantomSource | None = None
    window_hu: tuple[float, float]
    size: PositiveInt = 256
    crop: PositiveInt = Field(192, multiple_of=4)
    batch_size: PositiveInt = 8
    epochs: PositiveInt
    learning_rate: float = Field(5e-4, gt=0)
    seed: int = 2009
    init_from: str | None = None
    head_start: float = Field(6.0, ge=0)
    augmentation: Augmentation = Augmentation()
    provenance: Provenance


def load_recipe(name_or_path: str) -> Recipe:
    """Read a shipped recipe by its name, or any YAML file by its path.

    Raises:
        FileNotFoundError: neither a shipped recipe nor a file.
        pydantic.ValidationError: an unknown key or a value out of range.
    """
    shipped = files("pancseg.training") / "recipes"
    candidate = shipped / f"{name_or_path}.yaml"
    text = (
        candidate.read_text(encoding="utf-8")
        if candidate.is_file()
        else Path(name_or_path).read_text(encoding="utf-8")
    )
    return Recipe.model_validate(yaml.safe_load(text))
