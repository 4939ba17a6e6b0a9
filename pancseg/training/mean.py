"""The mean of the weights of a run's last epochs: one network, steadier than each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint

FOLDER = "last_epochs"


class KeepLastEpochs(Callback):
    """Write the network of each of the last epochs to ``RUN/last_epochs``.

    An epoch that is done again after a kill writes the same file again.

    Args:
        run: the run folder.
        export: writes the network to a path.
        count: how many epochs.
    """

    def __init__(self, run: Path, export: Callable[[Path], None], count: int) -> None:
        self._folder, self._export, self._count = run / FOLDER, export, count

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write this epoch's network, if it is one of them."""
        first = (trainer.max_epochs or 0) - self._count
        if trainer.is_global_zero and module.current_epoch >= first:
            self._folder.mkdir(exist_ok=True)
            self._export(self._folder / f"{module.current_epoch:04d}.safetensors")


def write_mean(run: Path) -> None:
    """Write the mean of the epochs kept in a run folder: ``mean.safetensors``."""
    mean_of(sorted((run / FOLDER).glob("*.safetensors"))).save(run / "mean.safetensors")


def mean_of(paths: Sequence[Path]) -> Checkpoint:
    """Return checkpoints of one network as one: floats are averaged, BatchNorm's included.

    Args:
        paths: at least one; whole numbers (counters) are the last one's.
    """
    found = [load_checkpoint(str(path)) for path in paths]
    newest = found[-1]
    weights = {}
    for name, last in newest.weights.items():
        weights[name] = last
        if np.issubdtype(last.dtype, np.floating):
            total = np.stack([each.weights[name] for each in found])
            weights[name] = total.mean(axis=0, dtype=np.float64).astype(last.dtype)
    return replace(newest, weights=weights)
