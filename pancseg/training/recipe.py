"""Define and read training recipes: everything about a training except its data, as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from pancseg.segmentation.checkpoint import Window
from pancseg.segmentation.look_windows import LARGEST_SIZE
from pancseg.segmentation.networks import builder_of
from pancseg.system.yaml_file import FrozenModel, read_yaml_mapping, settings_of, shipped_or_own

RECIPES = Path(__file__).parent / "recipes"
MOST_WIDENED = 0.5
"""Largest share of the body's width and height by which a location prior is widened."""


class Augmentation(FrozenModel):
    """Random changes of a training slice. Geometry as in arXiv 2009.00872: rotation, zoom, shift.

    Attributes:
        rotation_deg: rotation by up to this angle either way.
        zoom: scaling by up to this share either way, for rows and columns independently.
        shift: shift by up to this share of the window's height and width.
        intensity_scale: brightness is multiplied by up to 1 ± this (probability 0.7).
        intensity_shift: up to this is added to or subtracted from brightness, which is 0..1
            (probability 0.5).
        noise_std: Gaussian noise of up to this standard deviation (probability 0.5).
        blur_sigma_px: Gaussian blur of up to this sigma in pixels (probability 0.3).
        gamma: brightness to the power of a number between 1 / (1 + this) and 1 + this (probability
            0.3).
        blank: probability that all but a random rectangle is blanked and excluded from the loss.
            Slices that are labelled only in a box are then not recognisable by their blank.
    """

    rotation_deg: float = Field(10.0, ge=0)
    zoom: float = Field(0.25, ge=0, lt=1)
    shift: float = Field(0.2, ge=0, lt=1)
    intensity_scale: float = Field(0.0, ge=0)
    intensity_shift: float = Field(0.0, ge=0)
    noise_std: float = Field(0.0, ge=0)
    blur_sigma_px: float = Field(0.0, ge=0)
    gamma: float = Field(0.0, ge=0)
    blank: float = Field(0.0, ge=0, le=1)


_Side = Annotated[int, Field(gt=0, multiple_of=16, le=LARGEST_SIZE)]
"""Side of a network's input in pixels: a multiple of 16, because U-Net halves it four times."""


class Recipe(FrozenModel):
    """Everything that determines the result of a training, except its data.

    Attributes:
        network: a key of ``NETWORKS``, or ``module:Class`` of your own network.
        window_hu: HU clipped to this window, then scaled to 0..1. A slice set brings its own
            window instead.
        size: rows and columns of the network's slices.
        crop: rows and columns of the window to which training slices are cut; none: whole slices.
        crop_around: what that window is centred on: the ``body``, or the pancreas' ``label`` (for a
            second look: slices without pancreas are cut around a random point in the body, and
            validation slices are cut as well).
        elsewhere: share of the windows around a label that are cut around a random point in the
            body instead.
        z_range: train and validate on ``all`` slices of a CT, or only on those from the first to
            the last that shows pancreas (``label``, as in the paper's code).
        empty_share: share of a CT's slices without pancreas that an epoch uses; each epoch draws
            others.
        batch_size: slices per step and device.
        epochs: largest number of epochs.
        loss: ``dice`` (the paper's), or ``dice_ce``: Dice plus ``ce_weight`` times cross-entropy.
        schedule: ``plateau`` (the paper's): the learning rate falls to a tenth when the validation
            loss has not improved for two epochs; ``one_cycle``: up over the first fifth of all
            steps, then down along a cosine to nearly nothing.
        patience: stop when the validation loss has not improved for this number of epochs; none:
            never.
        learning_rate: highest learning rate of NAdam.
        head_start: first scale of the logits, for a network whose head ends in BatchNorm
            (``training.module.start_head``); 0: BatchNorm's default.
        batch_norm: statistics for validation and use: ``running`` averages of the training (the
            paper's), or ``recomputed`` on whole training slices after each epoch.
        keep: the network that a run produces: that of the ``last`` epoch, the ``mean`` of the
            weights of the last ``mean_epochs``, or that of the epoch with the ``best`` validation
            Dice (which is then no estimate for new patients).
        mean_epochs: number of epochs to average if ``keep`` is ``mean``.
        places: learn a location prior (where in a body a pancreas can be) from the whole training
            slices, widened by this share of the body's width and height
            (:mod:`pancseg.segmentation.location_prior`); none: the pancreas can be anywhere.
        init_from: start from the weights of a checkpoint, a shipped name or a file.
        teachers: networks whose mean probability becomes part of the target (distillation), as
            shipped names or files; they see the same slices.
        teacher_share: share of that probability in the target; the rest is the mask.
        dropout: share of channels that are dropped in training, if the network has dropout; none:
            the network's default (the paper's).
        seed: seed of all random numbers.
    """

    network: str = "monet"
    window_hu: Window = (-150.0, 200.0)
    size: _Side = 256
    crop: tuple[_Side, _Side] | None = None
    crop_around: Literal["body", "label"] = "body"
    elsewhere: float = Field(0.0, ge=0, le=1)
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
    places: float | None = Field(None, ge=0, le=MOST_WIDENED)
    init_from: str | None = None
    teachers: tuple[str, ...] = ()
    teacher_share: float = Field(0.5, gt=0, le=1)
    dropout: float | None = Field(None, ge=0, lt=1)
    seed: int = 2009
    augmentation: Augmentation = Augmentation()

    @field_validator("network")
    @classmethod
    def _known(cls, name: str) -> str:
        builder_of(name)
        return name

    @model_validator(mode="after")
    def _label_needs_crop(self) -> Self:
        if self.crop_around == "label" and self.crop is None:
            raise ValueError(
                "crop_around: label needs the window's rows and columns; give crop, such as "
                "[192, 256]"
            )
        return self

    @model_validator(mode="after")
    def _mean_needs_all_epochs(self) -> Self:
        if self.patience and self.keep == "mean":
            raise ValueError(
                "keep: mean averages the last epochs of a whole run, which patience could stop "
                "early; leave out patience, or choose keep: best"
            )
        return self


def load_recipe(name_or_path: str, **changes: object) -> Recipe:
    """Read a shipped recipe by its name, or any YAML file by its path.

    Args:
        name_or_path: name of a shipped recipe, or path of a YAML file.
        changes: values that replace the recipe's.

    Raises:
        FileNotFoundError: neither a shipped recipe nor a file.
        ValueError: not YAML, a key that is unknown or given twice, or a value out of range.

    Example:
        >>> load_recipe("monet", epochs=2).epochs
        2
    """
    path = shipped_or_own(name_or_path, RECIPES, "recipe")
    what = f"the recipe {path.stem}" if path.parent == RECIPES else "the recipe file"
    return settings_of(Recipe, read_yaml_mapping(path, what) | changes, what)
