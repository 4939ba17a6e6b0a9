"""Average the weights of a run's last epochs into one network, which is steadier than each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint, weights_of
from pancseg.training.batch_norm import recompute
from pancseg.training.data.labelled_slice import LabelledSlice

FOLDER = "last_epochs"


class KeepLastEpochs(Callback):
    """Write the network of each of the last epochs to ``RUN/last_epochs``.

    An epoch that is repeated after a run was killed overwrites its file with the same content.

    Args:
        run: the run folder.
        export: writes the network to a path.
        count: number of epochs to keep.
    """

    def __init__(self, run: Path, export: Callable[[Path], None], count: int) -> None:
        self._folder, self._export, self._count = run / FOLDER, export, count

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write the network if this is one of the last epochs."""
        first = (trainer.max_epochs or 0) - self._count
        if trainer.is_global_zero and module.current_epoch >= first:
            self._folder.mkdir(exist_ok=True)
            self._export(self._folder / f"{module.current_epoch:04d}.safetensors")


def write_mean(run: Path, recomputed: Sequence[LabelledSlice] = ()) -> None:
    """Write the mean of the epochs that were kept in a run folder to ``mean.safetensors``.

    Args:
        run: the run folder.
        recomputed: slices on which BatchNorm's statistics are computed for the mean weights;
            without any, the statistics are averaged like the weights.
    """
    mean = mean_of(sorted((run / FOLDER).glob("*.safetensors")))
    if recomputed:
        network = mean.build()
        recompute(network, recomputed, torch.device("cpu"))
        mean = replace(mean, weights=weights_of(network))
    mean.save(run / "mean.safetensors")


def mean_of(paths: Sequence[Path]) -> Checkpoint:
    """Return the mean of several checkpoints of one network.

    Floats are averaged, BatchNorm's statistics included; integers (counters) are taken from the
    last checkpoint.

    Args:
        paths: checkpoint files, at least one.
    """
    found = [load_checkpoint(str(path), allow_code=True) for path in paths]  # written by this run
    newest = found[-1]
    weights = {}
    for name, last in newest.weights.items():
        weights[name] = last
        if np.issubdtype(last.dtype, np.floating):
            total = np.stack([each.weights[name] for each in found])
            weights[name] = total.mean(axis=0, dtype=np.float64).astype(last.dtype)
    return replace(newest, weights=weights)
