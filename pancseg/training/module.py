"""Define what Lightning trains: a network with its loss, optimizer and learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from pancseg.segmentation.networks import build_network
from pancseg.segmentation.networks.dropout import set_dropout
from pancseg.training.data.labelled_slice import UNKNOWN
from pancseg.training.distillation import Teachers
from pancseg.training.hardware import DEFAULT_HARDWARE, Hardware, layout
from pancseg.training.losses import KnownLoss
from pancseg.training.recipe import Recipe

Batch = tuple[Tensor, Tensor, list[str]]
_NEVER = 1 << 62
"""Interval of Lightning's steps of a schedule that this module steps itself: never."""


class SliceSegmentation(LightningModule):
    """A network with its loss and NAdam (the paper's Nesterov-Adam).

    After each validation, ``patient_dice`` holds the hard Dice of each patient: at a threshold of
    0.5, over the patient's slices pooled, at the network's resolution (1 if both masks are empty).
    The mean over patients is logged as ``val_dice``. With n devices, up to n - 1 slices count
    twice, so that each device has the same number.

    Args:
        recipe: what to train.
        draws: number of slices that an epoch draws, on all devices together.
        val_patients: the patients of the validation slices.
        hardware: where the training runs.
        teachers: networks that teach this one; None: it learns from the masks alone.
    """

    def __init__(
        self,
        recipe: Recipe,
        draws: int,
        val_patients: Iterable[str],
        hardware: Hardware = DEFAULT_HARDWARE,
        teachers: Teachers | None = None,
    ) -> None:
        super().__init__()
        self.network = build_network(recipe.network)
        if recipe.dropout is not None:
            set_dropout(self.network, recipe.dropout)
        self._layout = layout(hardware)
        self.network.to(memory_format=self._layout)  # type: ignore[call-overload]
        self.patient_dice: dict[str, float] = {}
        self._patients = {patient: i for i, patient in enumerate(sorted(set(val_patients)))}
        self._counts = torch.zeros(len(self._patients), 2, dtype=torch.int64)
        self._loss = KnownLoss(recipe)
        self._recipe, self._draws, self._teachers = recipe, draws, teachers

    def on_fit_start(self) -> None:
        """Move the teachers to where the network is."""
        if self._teachers is not None:
            self._teachers.to(self.device)

    def on_train_start(self) -> None:
        """Refuse to resume a one-cycle schedule with another number of steps.

        The number changes with that of the devices; the cycle would then end too early or never.

        Raises:
            ValueError: the number of steps has changed.
        """
        schedule = self.lr_schedulers()
        if isinstance(schedule, torch.optim.lr_scheduler.OneCycleLR):
            begun, now = int(schedule.total_steps), self._cycle()
            if begun != now:
                raise ValueError(
                    f"this run started with a schedule of {begun} steps, but would now have {now}; "
                    "resume with the same `devices` and `nodes`, or choose a new `run` folder"
                )

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of one batch.

        Raises:
            ValueError: the loss is not finite.
        """
        image, mask, _patients = batch
        taught = None if self._teachers is None else self._teachers.probability(image)
        loss = self._finite_loss(self._logits(image), mask, "loss", taught)
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(image))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Add the overlap and the sizes of each slice's masks to the counts of its patient."""
        image, mask, patients = batch
        logits = self._logits(image)
        loss = self._finite_loss(logits, mask, "validation loss")
        self.log("val_loss", loss, batch_size=len(image), sync_dist=True)
        found = (logits > 0) & (mask != UNKNOWN)
        for patient, f, m in zip(patients, found, mask == 1, strict=True):
            both, either = 2 * int((f & m).sum()), int(f.sum() + m.sum())
            self._counts[self._patients[patient]] += torch.tensor([both, either])

    def on_validation_epoch_end(self) -> None:
        """Log the mean Dice over patients; their slices may be spread over several devices."""
        counts = self.trainer.strategy.reduce(self._counts.to(self.device), reduce_op="sum").cpu()
        self._counts = torch.zeros_like(self._counts)
        empty = counts[:, 1] == 0
        dice = torch.where(empty, 1.0, counts[:, 0].double() / counts[:, 1].clamp(min=1))
        self.patient_dice = {p: round(float(dice[i]), 4) for p, i in self._patients.items()}
        self.log("val_dice", float(dice.mean()), batch_size=1)

    def on_train_epoch_end(self) -> None:
        """Step the plateau schedule before the epoch's checkpoint is written.

        Lightning would step it afterwards, and a run resumed from the checkpoint would miss that.
        """
        schedule = self.lr_schedulers()
        if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            schedule.step(float(self.trainer.callback_metrics["val_loss"]))

    def configure_optimizers(self) -> Any:
        """Return NAdam with the recipe's schedule."""
        rate = self._recipe.learning_rate
        optimizer = torch.optim.NAdam(self.parameters(), lr=rate)
        schedulers = torch.optim.lr_scheduler
        if self._recipe.schedule == "plateau":
            plateau = schedulers.ReduceLROnPlateau(optimizer, factor=0.1, patience=1)
            schedule = {"scheduler": plateau, "frequency": _NEVER, "monitor": "val_loss"}
        else:
            steps = self._cycle()
            cycle = schedulers.OneCycleLR(
                optimizer, rate, steps, pct_start=max(0.2, 2 / steps), cycle_momentum=False
            )
            schedule = {"scheduler": cycle, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _cycle(self) -> int:
        """Return the number of steps that each device takes: whole batches of its share of slices.

        It is at least four, because torch's cycle needs two steps up and two down.
        """
        share = math.ceil(self._draws / self.trainer.world_size)
        return max(self._recipe.epochs * (share // self._recipe.batch_size), 4)

    def _finite_loss(
        self, logits: Tensor, mask: Tensor, what: str, taught: Tensor | None = None
    ) -> Tensor:
        loss: Tensor = self._loss(logits, mask, taught)
        if not torch.isfinite(loss):
            raise ValueError(
                f"the {what} became {loss.item()} in epoch {self.current_epoch + 1}; lower the "
                "recipe's learning_rate, or train with `precision` 32-true"
            )
        return loss

    def _logits(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image.to(memory_format=self._layout))
        return logits.float()


def start_head(network: nn.Module, logits: float) -> None:
    """Initialise a head that ends in BatchNorm: scale ``logits`` and offset ``-logits``.

    By default they are 1 and 0 and move by at most the learning rate per step. From there it takes
    thousands of steps until the background of a rare organ is predicted with confidence.
    """
    last = next(
        (m for m in reversed(list(network.modules())) if isinstance(m, nn.BatchNorm2d)), None
    )
    if last is not None and last.num_features == 1:
        nn.init.constant_(last.weight, logits)
        nn.init.constant_(last.bias, -logits)
