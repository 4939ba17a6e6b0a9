"""The training loop: recipe + slices → run folder with a checkpoint per epoch, by Lightning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    RichProgressBar,
)
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint, weights_of
from pancseg.segmentation.engines.hardware import cpu_has_bf16
from pancseg.segmentation.networks import NETWORKS
from pancseg.segmentation.places import Map
from pancseg.training.data import TrainingData
from pancseg.training.dataset import Item, Shuffled, TrainingSlices, WholeSlices
from pancseg.training.learn_places import places_in
from pancseg.training.losses import KnownLoss
from pancseg.training.mean import KeepLastEpochs, write_mean
from pancseg.training.recipe import Recipe
from pancseg.training.record import Record, WholeFileIO
from pancseg.training.run_folder import begin, note_environment
from pancseg.training.slices import UNKNOWN, LabelledSlice
from pancseg.training.statistics import recompute, typical

Batch = tuple[Tensor, Tensor, list[str]]


@dataclass(frozen=True)
class Hardware:
    """Where and how to compute; Lightning's own flags. The result may depend on it in last bits.

    Attributes:
        threads: torch's CPU threads.
        precision: Lightning's ``precision``; ``auto``: bfloat16 where the processor has it.
        accelerator, devices, nodes: Lightning's.
        workers: processes that prepare slices.
    """

    threads: int = 2
    precision: str = "auto"
    accelerator: str = "auto"
    devices: int | str = "auto"
    nodes: int = 1
    workers: int = 0


class SliceSegmentation(LightningModule):
    """A network with its loss and NAdam (the paper's Nesterov-Adam).

    After each validation ``patient_dice`` holds the hard Dice of each patient at 0.5, its slices
    pooled, at the network's resolution; the mean over patients is logged as ``val_dice``.
    """

    def __init__(self, recipe: Recipe, steps: int, val_patients: Sequence[str]) -> None:
        super().__init__()
        self.network = NETWORKS[recipe.network]()
        self._layout = _layout()
        self.network.to(memory_format=self._layout)  # type: ignore[call-overload]
        self.patient_dice: dict[str, float] = {}
        self._patients = {patient: i for i, patient in enumerate(sorted(set(val_patients)))}
        self._counts = torch.zeros(len(self._patients), 2, dtype=torch.float64)
        self._loss = KnownLoss(recipe)
        self._recipe, self._steps = recipe, steps

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of one batch; a loss that is not finite stops the training."""
        image, mask, _patients = batch
        loss: Tensor = self._loss(self._logits(image), mask)
        if not torch.isfinite(loss):
            raise ValueError(
                f"the loss became {loss.item()} in epoch {self.current_epoch}; lower the "
                "recipe's learning_rate, or train with --precision 32-true"
            )
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(image))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Add each slice's overlap and size to its patient's counts."""
        image, mask, patients = batch
        logits = self._logits(image)
        self.log("val_loss", self._loss(logits, mask), batch_size=len(image), sync_dist=True)
        found = (logits > 0) & (mask != UNKNOWN)
        for patient, f, m in zip(patients, found, mask == 1, strict=True):
            both, either = 2.0 * float((f & m).sum()), float(f.sum() + m.sum())
            self._counts[self._patients[patient]] += torch.tensor([both, either])

    def on_validation_epoch_end(self) -> None:
        """Log the mean Dice over patients, whichever device saw their slices."""
        counts = self.trainer.strategy.reduce(self._counts.to(self.device), reduce_op="sum").cpu()
        self._counts = torch.zeros_like(self._counts)
        dice = counts[:, 0] / counts[:, 1].clamp(min=1.0)
        self.patient_dice = {p: round(float(dice[i]), 4) for p, i in self._patients.items()}
        self.log("val_dice", float(dice.mean()), batch_size=1)

    def configure_optimizers(self) -> Any:
        """NAdam, and the recipe's schedule."""
        rate = self._recipe.learning_rate
        optimizer = torch.optim.NAdam(self.parameters(), lr=rate)
        schedulers = torch.optim.lr_scheduler
        if self._recipe.schedule == "plateau":
            plateau = schedulers.ReduceLROnPlateau(optimizer, factor=0.1, patience=1)
            schedule = {"scheduler": plateau, "interval": "epoch", "monitor": "val_loss"}
        else:
            steps = max(self._steps, 4)  # torch's cycle needs two steps up and two down
            cycle = schedulers.OneCycleLR(
                optimizer, rate, steps, pct_start=max(0.2, 2 / steps), cycle_momentum=False
            )
            schedule = {"scheduler": cycle, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _logits(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image.to(memory_format=self._layout))
        return logits.float()


class SeedEachEpoch(Callback):
    """Make an epoch's random numbers depend on the recipe's seed and its number alone.

    So a run that was stopped and goes on sees the same windows, order and dropout as a whole one.
    """

    def __init__(self, seed: int, order: Shuffled) -> None:
        self._seed, self._order = seed, order

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Seed torch (dropout) and the order of the slices with their random changes."""
        torch.manual_seed(self._seed + 1_000_003 * module.current_epoch)
        self._order.epoch = module.current_epoch


class Recompute(Callback):
    """Measure BatchNorm's statistics anew before each validation."""

    def __init__(self, slices: Sequence[LabelledSlice]) -> None:
        self._slices = typical(slices)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Replace the running averages; training itself takes those of its batches."""
        assert isinstance(module, SliceSegmentation)
        with trainer.precision_plugin.forward_context():
            recompute(module.network, self._slices, module.device)


def train(
    recipe: Recipe,
    data: TrainingData,
    run: Path,
    *,
    hardware: Hardware = Hardware(),
    progress: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train a network and return the path of the checkpoint to use, as the recipe's ``keep`` says.

    Stopped anywhere, the same call goes on from the last whole epoch as if never stopped.

    Args:
        recipe: what to train.
        data: the slices.
        run: the run folder; gets ``recipe.yaml``, ``data.json``, ``split.json``,
            ``environment.json``, ``metrics.csv``, ``curve.png``, ``last.ckpt`` (to go on from),
            ``last.safetensors`` and ``last.json`` (the newest epoch's network and its validation
            Dice per patient), ``best.safetensors`` and ``best.json`` (the epoch's with the highest
            mean Dice); where the recipe keeps the mean, ``last_epochs`` and ``mean.safetensors``.
        hardware: where and how to compute.
        progress: show a progress bar.
        report: called with one line after each epoch.

    Raises:
        ValueError: the run folder belongs to another recipe or other data, the slices are not
            usable, or the loss stopped being finite.
    """
    order, training, validation = _loaders(recipe, data, hardware.workers)
    begin(run, recipe, data)
    precision = _precision(hardware.precision)
    note_environment(run, {**asdict(hardware), "precision": precision})
    torch.set_num_threads(hardware.threads)
    seed_everything(recipe.seed, verbose=False)
    module = SliceSegmentation(recipe, recipe.epochs * len(training), data.split.val)
    if recipe.init_from:
        module.network.load_state_dict(load_checkpoint(recipe.init_from).tensors())
    elif recipe.head_start:
        _start_head(module.network, recipe.head_start)

    places = places_in(data.slices, recipe.places)

    def export(path: Path) -> None:
        _export(module, recipe, data, places).save(path)

    callbacks: list[Callback] = [
        SeedEachEpoch(recipe.seed, order),
        Record(run, export, report),
        ModelCheckpoint(dirpath=run, filename="last", enable_version_counter=False),
    ]
    if recipe.batch_norm == "recomputed":
        callbacks.append(Recompute([s for s in data.slices if s.split == "train"]))
    if recipe.keep == "mean":
        callbacks.append(KeepLastEpochs(run, export, recipe.mean_epochs))
    if recipe.patience:
        callbacks.append(EarlyStopping("val_loss", patience=recipe.patience))
    if progress:
        callbacks.append(RichProgressBar(leave=False))
    last = run / "last.ckpt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # about its own internals
        trainer = Trainer(
            max_epochs=recipe.epochs,
            precision=precision,  # type: ignore[arg-type]
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            callbacks=callbacks,
            plugins=[WholeFileIO()],
            logger=False,
            num_sanity_val_steps=0,
            enable_progress_bar=progress,
            enable_model_summary=False,
        )
        trainer.fit(module, training, validation, ckpt_path=str(last) if last.exists() else None)
    return write_mean(run) if recipe.keep == "mean" else run / f"{recipe.keep}.safetensors"


def _precision(wanted: str) -> str:
    """Choose bfloat16 where hardware computes in it; where it is emulated it is 50 times slower."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "bf16-mixed" if cpu_has_bf16() else "32-true"


def _layout() -> torch.memory_format:
    """Channels last, but where only AVX2 is there: a U-Net's step takes 1.4 times as long in it."""
    if torch.cuda.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX2":
        return torch.channels_last
    return torch.contiguous_format


def _start_head(network: nn.Module, logits: float) -> None:
    """Spread the first logits by ``logits`` around ``-logits``, where the head ends in BatchNorm.

    Its scale and offset start at 1 and 0 and move by at most the learning rate a step: from there
    thousands of steps go by before a rare organ's background can be told with confidence.
    """
    last = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)][-1]
    if last.num_features == 1:
        nn.init.constant_(last.weight, logits)
        nn.init.constant_(last.bias, -logits)


def _loaders(
    recipe: Recipe, data: TrainingData, workers: int
) -> tuple[Shuffled, DataLoader[Item], DataLoader[Item]]:
    """Return the order of the training slices, and the loaders of both splits."""
    training = [s for s in data.slices if s.split == "train"]
    validation = [s for s in data.slices if s.split == "val"]
    for split, members in (("training", training), ("validation", validation)):
        if not members:
            raise ValueError(f"the {split} set is empty: no slice of the data belongs to it")
    if both := {s.patient for s in training} & {s.patient for s in validation}:
        raise ValueError(f"patients in both splits: {', '.join(sorted(both))}")
    order = Shuffled([s.source for s in training], data.shares, recipe.seed)
    if len(order) < recipe.batch_size:
        raise ValueError(
            f"{len(order)} training slices are fewer than one batch of {recipe.batch_size}"
        )
    common: dict[str, Any] = {
        "batch_size": recipe.batch_size,
        "num_workers": workers,
        "generator": torch.Generator(),  # of its own: it must not draw from torch's
    }
    return (
        order,
        DataLoader(TrainingSlices(training, recipe), sampler=order, drop_last=True, **common),
        DataLoader(WholeSlices(validation), **common),
    )


def _export(
    module: SliceSegmentation, recipe: Recipe, data: TrainingData, places: Map | None
) -> Checkpoint:
    return Checkpoint(
        network=recipe.network,
        preprocessing=data.preprocessing,
        provenance=data.provenance,
        places=places,
        weights=weights_of(module.network),
    )
