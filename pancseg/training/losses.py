"""Compute the training loss: MONAI's Dice losses, ignoring pixels without a known label."""

from __future__ import annotations

from monai.losses import DiceCELoss, DiceLoss
from torch import Tensor, nn

from pancseg.training.data.labelled_slice import UNKNOWN
from pancseg.training.recipe import Recipe

CERTAIN = 20.0
"""A background logit of minus this costs nothing: sigmoid(-20) is 2e-9."""


class KnownLoss(nn.Module):
    """Soft Dice over all pixels of a batch, optionally with cross-entropy.

    Dice alone has smooth = 1, as in the paper's code. Pixels whose mask is ``UNKNOWN`` count as
    correctly empty: they add no cost and no gradient.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self._loss = (
            DiceLoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
            if recipe.loss == "dice"
            else DiceCELoss(sigmoid=True, batch=True, lambda_ce=recipe.ce_weight)
        )

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the loss of ``(N, 1, H, W)`` logits against masks of 0, 1 or ``UNKNOWN``."""
        mask = mask.float()  # cross-entropy is computed in the mask's type, whatever the precision
        unknown = mask == UNKNOWN
        loss: Tensor = self._loss(
            logits.float().masked_fill(unknown, -CERTAIN), mask.masked_fill(unknown, 0.0)
        )
        return loss
