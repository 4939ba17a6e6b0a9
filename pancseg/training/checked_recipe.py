"""Check, before the data are prepared, that a recipe can be trained here; read its networks."""

from __future__ import annotations

from dataclasses import dataclass

from pancseg.segmentation.checkpoint import Checkpoint, Window, load_checkpoint
from pancseg.segmentation.networks import build_network, is_outside
from pancseg.training.distillation import load_teachers
from pancseg.training.hardware import Hardware, check_hardware
from pancseg.training.recipe import Recipe


@dataclass(frozen=True)
class CheckedRecipe:
    """A recipe that can be trained on some hardware, and the trained networks that it names.

    Attributes:
        recipe: what to train.
        hardware: where and how to compute.
        window_hu: that of the data.
        first: the weights to start from, read from ``init_from``; None without.
        teachers: as :func:`.distillation.load_teachers` returns them.
    """

    recipe: Recipe
    hardware: Hardware
    window_hu: Window
    first: Checkpoint | None
    teachers: tuple[Checkpoint, ...]


def check(recipe: Recipe, hardware: Hardware, window_hu: Window) -> CheckedRecipe:
    """Refuse hardware, first weights or teachers that a training cannot start with.

    It is quick, so that it can run before the data are prepared.

    Args:
        recipe: what to train.
        hardware: where and how to compute.
        window_hu: that of the data.

    Returns:
        What :func:`.fit.train_checked` trains. Files of weights are read here, and never again.

    Raises:
        ValueError: hardware that is not available or that Lightning does not know, weights in
            ``init_from`` that belong to another network or see another window in HU, or teachers
            that see other pictures.
        FileNotFoundError: the weights in ``init_from`` or of a teacher do not exist.
    """
    check_hardware(hardware)
    teachers = tuple(load_teachers(recipe, window_hu))
    if is_outside(recipe.network):
        build_network(recipe.network)
    first = _first_weights(recipe, window_hu)
    return CheckedRecipe(recipe, hardware, window_hu, first, teachers)


def _first_weights(recipe: Recipe, window_hu: Window) -> Checkpoint | None:
    """Load the checkpoint to start from; a recipe that names code outside pancseg allows it."""
    if not recipe.init_from:
        return None
    first = load_checkpoint(recipe.init_from, allow_code=recipe.network)
    if first.network != recipe.network:
        raise ValueError(
            f"init_from: these weights are of network {first.network}, but the recipe trains "
            f"{recipe.network}; give weights of the same network"
        )
    known_hu = first.preprocessing.window_hu
    if known_hu != window_hu:
        theirs, own = (f"{low:g} to {high:g} HU" for low, high in (known_hu, window_hu))
        raise ValueError(
            f"init_from: these weights see {theirs}, but the slices to train on {own} "
            "(window_hu); give both the same window"
        )
    return first
