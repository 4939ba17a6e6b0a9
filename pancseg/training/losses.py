"""What is minimised: MONAI's Dice losses, blind to where the truth is unknown."""

from __future__ import annotations

from monai.losses import DiceCELoss, DiceLoss
from torch import Tensor, nn

from pancseg.training.data.labelled_slice import UNKNOWN
from pancseg.training.recipe import Recipe

CERTAIN = 20.0
"""A logit of this size costs nothing: sigmoid(-20) is 2e-9."""


class KnownLoss(nn.Module):
    """Soft Dice over a batch's pixels (smooth = 1, as in the paper's code), or with cross-entropy.

    Pixels whose mask is ``UNKNOWN`` count as rightly empty: no cost, no gradient.
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
        mask = mask.float()  # whatever the precision: cross-entropy is computed in its type
        unknown = mask == UNKNOWN
        loss: Tensor = self._loss(
            logits.float().masked_fill(unknown, -CERTAIN), mask.masked_fill(unknown, 0.0)
        )
        return loss
