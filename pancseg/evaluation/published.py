"""Look up the MoNet paper's results by a model's name.

Knolle, Kaissis et al., PLoS ONE 2021;16(8):e0255397 (arXiv 2009.00872). Dice is given as mean and
standard deviation over 85 validation cases of MSD Task07_Pancreas.
"""

from __future__ import annotations

import torch

from pancseg.segmentation.networks import NETWORKS, parameter_count

_DICE = {
    "monet": (0.74, 0.11),
    "unet": (0.70, 0.15),
    "attention_unet": (0.66, 0.15),
    "unet16": (0.67, 0.14),
}


def published_name(model: str) -> str | None:
    """Return the network that a model is named after, ignoring case and ``-_ ``; None for others.

    >>> published_name("Attention U-Net")
    'attention_unet'
    >>> published_name("nnU-Net") is None
    True
    """
    return next((name for name in NETWORKS if _letters(name) == _letters(model)), None)


def published_dice(model: str) -> tuple[float, float]:
    """Return the published mean Dice and its deviation; NaN for a network not in the paper."""
    return _DICE.get(published_name(model) or "", (float("nan"), float("nan")))


def parameters_of(model: str) -> int | None:
    """Return the number of parameters as Keras counts; None for a network unknown to pancseg."""
    name = published_name(model)
    if name is None:
        return None
    with torch.device("meta"):  # shapes without memory
        return parameter_count(NETWORKS[name]())


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
