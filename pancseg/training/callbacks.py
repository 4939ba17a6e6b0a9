"""Record a training: a line per epoch, the learning curve, the newest and the best network."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pancseg.system.whole_files import whole_files, write_whole

COLUMNS = ("epoch", "train_loss", "val_loss", "val_dice", "learning_rate")


class WholeFileIO(TorchCheckpointIO):
    """Writes Lightning's checkpoints so that each appears whole or not at all."""

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
        return float(json.loads(path.read_text())["val_dice"]) if path.exists() else -1.0

    def _keep(self, name: str, report: dict[str, Any]) -> None:
        self._export(self._run / f"{name}.safetensors")
        text = json.dumps(report, indent=2) + "\n"
        write_whole({self._run / f"{name}.json": text.encode()})

    def _add_line(self, epoch: int, values: list[str], rate: float) -> None:
        """Add an epoch's line; an epoch repeated after a run was killed replaces its old line."""
        path = self._run / "metrics.csv"
        lines = path.read_text().splitlines() if path.exists() else [",".join(COLUMNS)]
        kept = [lines[0], *(line for line in lines[1:] if int(line.split(",")[0]) < epoch)]
        lines = [*kept, ",".join([str(epoch), *values, f"{rate:.3g}"])]
        write_whole({path: ("\n".join(lines) + "\n").encode()})


BLUE, ORANGE = "#0072B2", "#D55E00"


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
