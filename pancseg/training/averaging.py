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
        self._run, self._export, self._count = run, export, count

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write the network if this is one of the last epochs."""
        first = (trainer.max_epochs or 0) - self._count
        if trainer.is_global_zero and module.current_epoch >= first:
            (self._run / FOLDER).mkdir(exist_ok=True)
            self._export(_file_of(self._run, module.current_epoch))


def write_mean(
    run: Path, epochs: range, network: str, recomputed: Sequence[LabelledSlice] = ()
) -> None:
    """Write the mean of the epochs that were kept in a run folder to ``mean.safetensors``.

    Args:
        run: the run folder.
        epochs: numbers of the epochs; other files in the folder do not count.
        network: the network that was trained, whose code may run.
        recomputed: slices on which BatchNorm's statistics are computed for the mean weights;
            without any, the statistics are averaged like the weights.
    """
    mean = mean_of([_file_of(run, epoch) for epoch in epochs], network)
    if recomputed:
        built = mean.build()
        recompute(built, recomputed, torch.device("cpu"))
        mean = replace(mean, weights=weights_of(built))
    mean.save(run / "mean.safetensors")


def _file_of(run: Path, epoch: int) -> Path:
    return run / FOLDER / f"{epoch:04d}.safetensors"


def mean_of(paths: Sequence[Path], network: str = "") -> Checkpoint:
    """Return the mean of several checkpoints of one network.

    Floats are averaged, BatchNorm's statistics included; integers (counters) are taken from the
    last checkpoint.

    Args:
        paths: checkpoint files, at least one.
        network: a network outside pancseg whose code may run.
    """
    found = [load_checkpoint(path, allow_code=network) for path in paths]
    newest = found[-1]
    weights = {}
    for name, last in newest.weights.items():
        weights[name] = last
        if np.issubdtype(last.dtype, np.floating):
            total = np.stack([each.weights[name] for each in found])
            weights[name] = total.mean(axis=0, dtype=np.float64).astype(last.dtype)
    return replace(newest, weights=weights)
