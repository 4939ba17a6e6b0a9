"""The training loop: recipe + slices → run folder with a checkpoint per epoch, by Lightning."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from monai.losses import DiceCELoss
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pancseg.segmentation.checkpoint import Checkpoint, Preprocessing, load_checkpoint
from pancseg.segmentation.networks import NETWORKS
from pancseg.training.dataset import Item, Shuffled, SliceDataset
from pancseg.training.recipe import Recipe
from pancseg.training.slices import read_slices

Batch = tuple[Tensor, Tensor, list[str]]


class SliceSegmentation(LightningModule):
    """A network with its loss (Dice + cross-entropy over the batch) and optimiser (NAdam, cosine).

    After each validation ``patient_dice`` holds the hard Dice of each patient at 0.5, its slices
    pooled; the mean over patients is logged as ``val_dice``.
    """

    def __init__(self, recipe: Recipe, steps: int) -> None:
        super().__init__()
        self.network = NETWORKS[recipe.network]()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.patient_dice: dict[str, float] = {}
        self._counts: defaultdict[str, Tensor] = defaultdict(lambda: torch.zeros(2))
        self._loss = DiceCELoss(sigmoid=True, batch=True)
        self._recipe, self._steps = recipe, steps

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of one batch; a loss that is not finite stops the training."""
        image, mask, _patients = batch
        logits = self.network(image.to(memory_format=torch.channels_last)).float()
        loss: Tensor = self._loss(logits, mask)
        if not torch.isfinite(loss):
            raise ValueError(f"the loss became {loss.item()} in epoch {self.current_epoch}")
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(image))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Add each slice's overlap and size to its patient's counts."""
        image, mask, patients = batch
        found = self.network(image.to(memory_format=torch.channels_last)).float() > 0
        for patient, f, m in zip(patients, found, mask > 0.5, strict=True):
            self._counts[patient] += torch.tensor(
                [2.0 * (f & m).sum().item(), float(f.sum().item() + m.sum().item())]
            )

    def on_validation_epoch_end(self) -> None:
        """Log the mean Dice over patients."""
        self.patient_dice = {
            patient: round(float(c[0] / c[1].clamp(min=1)), 4)
            for patient, c in sorted(self._counts.items())
        }
        self._counts.clear()
        mean = sum(self.patient_dice.values()) / len(self.patient_dice)
        self.log("val_dice", mean, batch_size=1)

    def configure_optimizers(self) -> Any:
        """NAdam (the paper's Nesterov-Adam) with a cosine from the learning rate to 1 % of it."""
        rate = self._recipe.learning_rate
        optimizer = torch.optim.NAdam(self.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=self._steps, eta_min=rate / 100
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class SeedEachEpoch(Callback):
    """Make an epoch's random numbers depend on the recipe's seed and its number alone.

    So a run that was stopped and goes on sees the same crops, order and dropout as a whole one.
    """

    def __init__(self, seed: int, loader: DataLoader[Item]) -> None:
        self._seed, self._loader = seed, loader

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Seed torch (dropout), the loader (order) and the dataset (crops)."""
        seed = self._seed + 1_000_003 * module.current_epoch
        torch.manual_seed(seed)
        assert isinstance(self._loader.sampler, Shuffled)
        assert isinstance(self._loader.dataset, SliceDataset)
        self._loader.sampler.seed = seed
        self._loader.dataset.reseed(seed % 2**32)


class Record(Callback):
    """After each epoch: a line in ``metrics.csv``; the network when it is the best so far."""

    def __init__(self, run: Path, recipe: Recipe) -> None:
        self._run, self._recipe = run, recipe

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write what this epoch brought."""
        assert isinstance(module, SliceSegmentation)
        loss, dice = (float(trainer.callback_metrics[k]) for k in ("train_loss", "val_dice"))
        self._add_line(module.current_epoch, f"{loss:.4f},{dice:.4f}")
        best = self._run / "best.json"
        if dice > (json.loads(best.read_text())["val_dice"] if best.exists() else -1.0):
            report = {
                "epoch": module.current_epoch,
                "val_dice": round(dice, 4),
                "val_dice_per_patient": module.patient_dice,
            }
            _export(module, self._recipe).save(self._run / "best.safetensors")
            best.write_text(json.dumps(report, indent=2) + "\n")

    def _add_line(self, epoch: int, values: str) -> None:
        """Add an epoch; one that is done again after a kill replaces its first line."""
        path = self._run / "metrics.csv"
        lines = path.read_text().splitlines() if path.exists() else ["epoch,train_loss,val_dice"]
        kept = [lines[0], *(line for line in lines[1:] if int(line.split(",")[0]) < epoch)]
        path.write_text("\n".join([*kept, f"{epoch},{values}"]) + "\n")


def train(recipe: Recipe, data: Path, run: Path, *, threads: int = 2) -> Path:
    """Train a network and return the path of its best checkpoint.

    Stopped anywhere, the same call goes on from the last whole epoch as if never stopped.

    Args:
        recipe: what to train.
        data: the folder that the recipe's slice sources are relative to.
        run: the run folder; gets ``recipe.yaml``, ``metrics.csv``, ``last.ckpt``,
            ``best.safetensors`` and ``best.json`` (validation Dice per patient).
        threads: torch's CPU threads; the result depends on their number in the last bits.

    Raises:
        ValueError: the run folder belongs to another recipe, the slices are not usable, or the
            loss stopped being finite.
    """
    run.mkdir(parents=True, exist_ok=True)
    _keep_recipe(recipe, run / "recipe.yaml")
    torch.set_num_threads(threads)
    seed_everything(recipe.seed, verbose=False)
    slices = read_slices(recipe, data)
    training = _loader([s for s in slices if s.split == "train"], recipe, augment=True)
    validation = _loader([s for s in slices if s.split == "val"], recipe, augment=False)
    module = SliceSegmentation(recipe, steps=recipe.epochs * len(training))
    if recipe.init_from:
        module.network.load_state_dict(load_checkpoint(recipe.init_from).weights)
    elif recipe.head_start:
        _start_head(module.network, recipe.head_start)
    last = run / "last.ckpt"
    trainer = Trainer(
        max_epochs=recipe.epochs,
        precision="bf16-mixed",
        callbacks=[
            SeedEachEpoch(recipe.seed, training),
            Record(run, recipe),
            ModelCheckpoint(dirpath=run, filename="last", enable_version_counter=False),
        ],
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # about its own internals
        trainer.fit(module, training, validation, ckpt_path=str(last) if last.exists() else None)
    return run / "best.safetensors"


def _keep_recipe(recipe: Recipe, path: Path) -> None:
    """Write the effective recipe; refuse to go on with another one than the run began with."""
    text = yaml.safe_dump(recipe.model_dump(mode="json"))
    if path.exists() and path.read_text() != text:
        raise ValueError("the run folder was begun with another recipe; choose a new --out")
    path.write_text(text)


def _start_head(network: nn.Module, logits: float) -> None:
    """Spread the first logits by ``logits`` around ``-logits``, where the head ends in BatchNorm.

    Its scale and offset start at 1 and 0 and move by at most the learning rate a step: from there
    thousands of steps go by before a rare organ's background can be told with confidence.
    """
    last = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)][-1]
    if last.num_features == 1:
        nn.init.constant_(last.weight, logits)
        nn.init.constant_(last.bias, -logits)


def _loader(slices: list[Any], recipe: Recipe, *, augment: bool) -> DataLoader[Item]:
    return DataLoader(
        SliceDataset(slices, recipe, augment=augment),
        batch_size=recipe.batch_size,
        sampler=Shuffled(len(slices), recipe.seed) if augment else None,
        drop_last=augment,
        generator=torch.Generator(),  # of its own: it must not draw from torch's
    )


def _export(module: SliceSegmentation, recipe: Recipe) -> Checkpoint:
    return Checkpoint(
        network=recipe.network,
        preprocessing=Preprocessing(window_hu=recipe.window_hu, size=recipe.size),
        provenance=recipe.provenance.model_dump(),
        weights={k: v.detach().cpu().contiguous() for k, v in module.network.state_dict().items()},
    )
