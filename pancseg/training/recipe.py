"""Training recipes: one frozen settings object per YAML in ``recipes/``. Knows no data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from pancseg.segmentation.checkpoint import Window
from pancseg.segmentation.networks import builder_of
from pancseg.system.yaml_file import read_yaml_mapping, settings_of, shipped_or_own

RECIPES = Path(__file__).parent / "recipes"


class Augmentation(BaseModel):
    """Random changes of a training slice. Geometry as in arXiv 2009.00872: rotation, zoom, shift.

    Attributes:
        rotation_deg: rotation by up to this angle either way.
        zoom: scale of rows and of columns, each on its own, by up to this share either way.
        shift: shift by up to this share of the window's height and width.
        intensity_scale: brightness times 1 ± this (chance 0.7).
        intensity_shift: brightness plus or minus up to this, of a window of 0..1 (chance 0.5).
        noise_std: Gaussian noise of up to this standard deviation (chance 0.5).
        blur_sigma_px: Gaussian blur of up to this width in pixels (chance 0.3).
        blank: chance that all but a random rectangle is blanked and left out of the loss, so that
            slices that are known in a rectangle only do not stand out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotation_deg: float = Field(10.0, ge=0)
    zoom: float = Field(0.25, ge=0, lt=1)
    shift: float = Field(0.2, ge=0, lt=1)
    intensity_scale: float = Field(0.0, ge=0)
    intensity_shift: float = Field(0.0, ge=0)
    noise_std: float = Field(0.0, ge=0)
    blur_sigma_px: float = Field(0.0, ge=0)
    blank: float = Field(0.0, ge=0, le=1)


_Side = Annotated[int, Field(gt=0, multiple_of=16)]
"""Of what a network sees: U-Net halves it four times."""


class Recipe(BaseModel):
    """Everything that decides the outcome of a training, data aside.

    Attributes:
        network: a key of ``NETWORKS``, or ``module:Class`` of a network of your own.
        window_hu: HU clipped to this window, then scaled to 0..1. Slices that were stored with a
            narrower one bring their own.
        size: rows and columns of the network's slices.
        crop: rows and columns of the window around the body that a training slice shows; none:
            the whole slice.
        z_range: of a CT, train and validate on ``all`` slices, or on those between the first and
            the last that shows pancreas (``label``, as the paper's code).
        empty_share: of a CT's slices without pancreas, this share is seen in an epoch, drawn anew
            each time.
        batch_size: slices a step, on each device.
        epochs: at most so many.
        loss: ``dice`` (the paper's), or ``dice_ce``: Dice plus ``ce_weight`` times cross-entropy.
        schedule: ``plateau`` (the paper's): the learning rate falls to a tenth when the validation
            loss has not improved for two epochs; ``one_cycle``: up over the first fifth of all
            steps, then down along a cosine to nearly nothing.
        patience: stop when the validation loss has not improved for so many epochs; none: never.
        learning_rate: NAdam's, at its highest.
        head_start: spread of the first logits, where the head ends in BatchNorm (0: as it comes).
        batch_norm: the statistics that validation and use take: ``running`` averages of the
            training (the paper's), or ``recomputed`` on whole training slices after each epoch.
        keep: the network that a run leaves behind: that of the ``last`` epoch, the ``mean`` of the
            weights of the last ``mean_epochs``, or that of the epoch with the ``best`` validation
            Dice (then that Dice is no estimate for new patients).
        mean_epochs: see ``keep``.
        places: learn from the whole training slices where in a body a pancreas can be, widened by
            this share of the body's box (``segmentation.places``); none: anywhere.
        init_from: begin with a checkpoint's weights: a shipped name or a file.
        dropout: share of channels that are dropped in training, where the network drops some; none:
            the network's own (the paper's).
        seed: fixes every random number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str = "monet"
    window_hu: Window = (-150.0, 200.0)
    size: _Side = 256
    crop: tuple[_Side, _Side] | None = None
    z_range: Literal["all", "label"] = "all"
    empty_share: float = Field(1.0, gt=0, le=1)
    batch_size: PositiveInt = 8
    epochs: PositiveInt
    loss: Literal["dice", "dice_ce"] = "dice"
    ce_weight: float = Field(0.5, gt=0)
    schedule: Literal["plateau", "one_cycle"] = "plateau"
    patience: PositiveInt | None = None
    learning_rate: float = Field(5e-4, gt=0)
    head_start: float = Field(0.0, ge=0)
    batch_norm: Literal["running", "recomputed"] = "running"
    keep: Literal["last", "best", "mean"] = "last"
    mean_epochs: PositiveInt = 16
    places: float | None = Field(None, ge=0, le=0.5)
    init_from: str | None = None
    dropout: float | None = Field(None, ge=0, lt=1)
    seed: int = 2009
    augmentation: Augmentation = Augmentation()

    @field_validator("network")
    @classmethod
    def _known(cls, name: str) -> str:
        builder_of(name)
        return name

    @model_validator(mode="after")
    def _last_epochs_are_known(self) -> Self:
        if self.patience and self.keep == "mean":
            raise ValueError(
                "keep: mean is of the last epochs of a whole run; leave out patience, or keep: best"
            )
        return self


def load_recipe(name_or_path: str, **changes: object) -> Recipe:
    """Read a shipped recipe by its name, or any YAML file by its path.

    Args:
        name_or_path: the recipe.
        changes: values to take instead of the recipe's own.

    Raises:
        FileNotFoundError: neither a shipped recipe nor a file.
        ValueError: not YAML, a key unknown or given twice, or a value out of range.
    """
    path = shipped_or_own(name_or_path, RECIPES, "recipe")
    return settings_of(Recipe, read_yaml_mapping(path, path.name) | changes, path.name)
