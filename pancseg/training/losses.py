"""Compute the training loss: MONAI's Dice losses, ignoring pixels without a known label."""

from __future__ import annotations

from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pancseg.training.data.labelled_slice import UNKNOWN
from pancseg.training.recipe import Recipe

CERTAIN = 20.0
"""A background logit of minus this costs nothing: sigmoid(-20) is 2e-9."""


class KnownLoss(nn.Module):
    """Soft Dice over all pixels of a batch, optionally with cross-entropy.

    Dice alone has smooth = 1, as in the paper's code. Pixels whose mask is ``UNKNOWN`` count as
    correctly empty: they add no cost and no gradient. With teachers, the target is a mixture of
    mask and probability, for which Dice is that of soft labels (arXiv 2303.16296): least where the
    network's probability is the target.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        smooth = 1.0 if recipe.loss == "dice" else 1e-5
        self._dice = DiceLoss(
            sigmoid=True,
            batch=True,
            smooth_nr=smooth,
            smooth_dr=smooth,
            soft_label=bool(recipe.teachers),
        )
        self._ce_weight = recipe.ce_weight if recipe.loss == "dice_ce" else 0.0
        self._share = recipe.teacher_share

    def forward(self, logits: Tensor, mask: Tensor, taught: Tensor | None = None) -> Tensor:
        """Return the loss of ``(N, 1, H, W)`` logits.

        Args:
            logits: of the network.
            mask: 0, 1 or ``UNKNOWN``.
            taught: the teachers' probability; None: there are none.
        """
        mask = mask.float()  # cross-entropy is computed in the mask's type, whatever the precision
        unknown = mask == UNKNOWN
        target = mask if taught is None else mask.lerp(taught.float(), self._share)
        logits, target = (
            logits.float().masked_fill(unknown, -CERTAIN),
            target.masked_fill(unknown, 0.0),
        )
        loss: Tensor = self._dice(logits, target)
        if self._ce_weight:
            loss = loss + self._ce_weight * binary_cross_entropy_with_logits(logits, target)
        return loss
