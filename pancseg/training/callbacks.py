"""Record a training after each epoch, and let it go on from there, to the bit."""

from __future__ import annotations

import io
import json
import pickle  # for its exception only
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.plugins.io import TorchCheckpointIO
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pancseg.system.json_file import read_json
from pancseg.system.regular_files import open_regular
from pancseg.system.whole_files import whole_files, write_whole
from pancseg.tables.picture_style import plain_style
from pancseg.training.data.dataset import Shuffled

DAMAGED = "last.ckpt is damaged, or not of this training; delete it to start the training again"
_PARTS = ("state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "global_step")
"""Parts of Lightning's checkpoints without which a run would not go on where it stopped."""
_WRONG = (AttributeError, EOFError, LookupError, OverflowError, TypeError, ValueError)
COLUMNS = ("epoch", "train_loss", "val_loss", "val_dice", "learning_rate")


class WholeFileIO(TorchCheckpointIO):
    """Writes Lightning's checkpoints whole or not at all, and reads nothing but numbers from them.

    A run folder can come from somebody else: a checkpoint can neither run code nor name files to be
    removed.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Save; see Lightning's ``CheckpointIO``.

        Raises:
            OSError: disk full, no permission; an earlier checkpoint stays unchanged.
        """
        whole = Path(path)
        with whole_files([whole]) as partial:
            buffer = io.BytesIO()  # Lightning's own goes through $TMPDIR
            torch.save(checkpoint, buffer)
            partial[whole].write_bytes(buffer.getbuffer())

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """Load a checkpoint to the CPU: tensors and plain values only, whatever Lightning asks for.

        Raises:
            ValueError: not a checkpoint of a training, or damaged.
        """
        try:
            with open_regular(path) as file:
                with zipfile.ZipFile(file) as archive:
                    if any(each.compress_type for each in archive.infolist()):
                        raise ValueError("a part is compressed, which torch never does")
                file.seek(0)
                found = torch.load(file, map_location="cpu", weights_only=True)
            if not isinstance(found["epoch"], int) or set(_PARTS) - set(found):
                raise ValueError("a part is missing")
        except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, *_WRONG) as error:
            raise ValueError(DAMAGED) from error
        checked: dict[str, Any] = found
        return checked

    def remove_checkpoint(self, path: Any) -> None:
        """Remove nothing: a run has one checkpoint, and a loaded one may name any file."""


class SeedEachEpoch(Callback):
    """Make an epoch's random numbers depend only on the recipe's seed and the epoch's number.

    A resumed run therefore sees the same windows, order and dropout as an uninterrupted one.
    """

    def __init__(self, seed: int, order: Shuffled) -> None:
        self._seed, self._order = seed, order

    def on_load_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Set the order of the epoch to resume with: workers draw slices before it starts."""
        self._order.epoch = int(checkpoint["epoch"]) + 1

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Seed torch (dropout), and the slices' order and augmentation."""
        torch.manual_seed(self._seed + 1_000_003 * module.current_epoch)
        self._order.epoch = module.current_epoch


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that also stops a run resumed from the epoch that decided to stop."""

    @property
    def state_key(self) -> str:
        """Lightning's key, so that checkpoints from before this class still load."""
        return f"EarlyStopping{ {'monitor': self.monitor, 'mode': self.mode}!r}"

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop at once if the run was killed between the decision to stop and its end."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class RecordEpochs(Callback):
    """After each epoch, add a line to ``metrics.csv`` and write ``last`` and, if it is, ``best``.

    Args:
        run: the run folder.
        export: writes the network to a path.
        report: called with one line for a person to read.
    """

    def __init__(
        self, run: Path, export: Callable[[Path], None], report: Callable[[str], None]
    ) -> None:
        self._run, self._export, self._report = run, export, report

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write this epoch's measures and network."""
        if not trainer.is_global_zero:
            return
        epoch = module.current_epoch
        values = {k: float(trainer.callback_metrics[k]) for k in COLUMNS[1:-1]}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self._add_line(epoch, [f"{v:.4f}" for v in values.values()], rate)
        draw_curve(self._run / "metrics.csv", self._run / "curve.png")
        report = {
            "epoch": epoch,
            "val_dice": values["val_dice"],
            "val_dice_per_patient": module.patient_dice,
        }
        self._keep("last", report)
        if values["val_dice"] > self._best():
            self._keep("best", report)
        self._report(
            f"epoch {epoch + 1}/{trainer.max_epochs}: loss {values['train_loss']:.3f}, validation "
            f"loss {values['val_loss']:.3f}, Dice {values['val_dice']:.3f}, rate {rate:.2g}"
        )

    def _best(self) -> float:
        path = self._run / "best.json"
        if not path.exists():
            return -1.0
        try:
            return float(read_json(path)["val_dice"])
        except (ValueError, LookupError, TypeError) as error:
            raise ValueError("best.json is damaged; choose a new `run` folder") from error

    def _keep(self, name: str, report: dict[str, Any]) -> None:
        self._export(self._run / f"{name}.safetensors")
        text = json.dumps(report, indent=2) + "\n"
        write_whole({self._run / f"{name}.json": text.encode()})

    def _add_line(self, epoch: int, values: list[str], rate: float) -> None:
        """Add an epoch's line; an epoch repeated after a run was killed replaces its old line."""
        path = self._run / "metrics.csv"
        lines = path.read_text().splitlines() if path.exists() else [",".join(COLUMNS)]
        try:
            kept = [lines[0], *(line for line in lines[1:] if int(line.split(",")[0]) < epoch)]
        except (ValueError, LookupError) as error:
            raise ValueError("metrics.csv is damaged; choose a new `run` folder") from error
        lines = [*kept, ",".join([str(epoch), *values, f"{rate:.3g}"])]
        write_whole({path: ("\n".join(lines) + "\n").encode()})


BLUE, ORANGE = "#0072B2", "#D55E00"


@plain_style()
def draw_curve(metrics: Path, picture: Path) -> None:
    """Draw the losses and the validation Dice over the epochs as a PNG."""
    table = pd.read_csv(metrics)
    epochs = table["epoch"] + 1
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    losses, overlap = figure.subplots(1, 2)
    losses.plot(epochs, table["train_loss"], ".-", color=BLUE, label="training")
    losses.plot(epochs, table["val_loss"], ".-", color=ORANGE, label="validation")
    losses.set(xlabel="epoch", ylabel="loss")
    losses.legend(frameon=False)
    overlap.plot(epochs, table["val_dice"], ".-", color=ORANGE)
    overlap.set(xlabel="epoch", ylabel="validation Dice, mean over patients", ylim=(0, 1))
    for panel in (losses, overlap):
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.3)
    with whole_files([picture]) as partial:
        figure.savefig(partial[picture], format="png", dpi=120)
