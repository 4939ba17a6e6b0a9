"""Train a network with Lightning: from a recipe and slices to a run folder with checkpoints."""

from __future__ import annotations

import json
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar

from pancseg.running.lock import locked
from pancseg.segmentation.checkpoint import Checkpoint, weights_of
from pancseg.segmentation.location_prior import Map
from pancseg.segmentation.look_windows import LookWindows
from pancseg.system.json_file import read_json
from pancseg.system.processes.python_child import safe_children
from pancseg.system.whole_files import write_whole
from pancseg.training.averaging import KeepLastEpochs, write_mean
from pancseg.training.batch_norm import recompute, typical
from pancseg.training.calibration import add_ranges
from pancseg.training.callbacks import DAMAGED, RecordEpochs, ResumableEarlyStopping, SeedEachEpoch
from pancseg.training.checked_recipe import CheckedRecipe, check
from pancseg.training.data.labelled_slice import LabelledSlice
from pancseg.training.data.load import TrainingData
from pancseg.training.data.loaders import Loader, loaders
from pancseg.training.distillation import Teachers
from pancseg.training.hardware import (
    DEFAULT_HARDWARE,
    Hardware,
    is_first_process,
    layout,
    precision_of,
    prepare_cpu,
    trainer_on,
)
from pancseg.training.location_prior import places_in
from pancseg.training.module import SliceSegmentation, start_head
from pancseg.training.processes import (
    StopOnSignal,
    errors_in_one_line,
    starting_processes,
)
from pancseg.training.recipe import Recipe
from pancseg.training.run_folder import begin, note_environment

FINISHED = "finished.json"
_STATE = ".pancseg"
"""Folder with the lock, as in a cohort's output folder; gone when the training ends."""


class ShareThreads(Callback):
    """Give each process its share of the threads, after Lightning has set its own number."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        """See Lightning, which sets the number of threads when it starts several processes."""
        prepare_cpu(self._hardware, trainer.num_devices)


class Recompute(Callback):
    """Recompute BatchNorm's statistics before each validation."""

    def __init__(self, slices: Sequence[LabelledSlice]) -> None:
        self._slices = slices

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Replace the running averages, which training itself does not use."""
        assert isinstance(module, SliceSegmentation)
        with trainer.precision_plugin.forward_context():
            recompute(module.network, self._slices, module.device)


def train(
    recipe: Recipe,
    data: TrainingData,
    run: Path,
    *,
    hardware: Hardware = DEFAULT_HARDWARE,
    progress: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train a network and return the path of the checkpoint to use, as the recipe's ``keep`` says.

    After an interruption, the same call resumes from the last whole epoch, with the same result as
    without the interruption. A finished training is left unchanged.

    Args:
        recipe: what to train.
        data: the slices.
        run: the run folder. It receives ``recipe.yaml``, ``data.json``, ``split.json``,
            ``environment.json``, ``metrics.csv``, ``curve.png``, ``last.ckpt`` (for resuming),
            ``last.safetensors`` and ``last.json`` (the newest epoch's network and its validation
            Dice per patient), ``best.safetensors`` and ``best.json`` (the same for the epoch with
            the highest mean Dice); if the recipe keeps the mean, ``last_epochs`` and
            ``mean.safetensors``; at the end these networks get the ranges of their activations
            (for int8), and ``finished.json`` is written. Only the first of several processes
            writes.
        hardware: where and how to compute.
        progress: show a progress bar.
        report: called with one line after each epoch, and if ranges cannot be measured.

    Raises:
        ValueError: as :func:`.checked_recipe.check`; the run folder belongs to another recipe or
            other data, or its ``last.ckpt`` is damaged; the slices are not usable; or the loss
            stopped being finite.
        RunRefused: another training is writing into the run folder.
        RunStopped: SIGTERM, SIGUSR1 or SIGUSR2 arrived; the same call goes on from the last whole
            epoch.
        ProcessDied: a process that prepares slices died.
    """
    checked = check(recipe, hardware, data.preprocessing.window_hu)
    return train_checked(checked, data, run, progress=progress, report=report)


def train_checked(
    checked: CheckedRecipe,
    data: TrainingData,
    run: Path,
    *,
    progress: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train as :func:`train` does, where the recipe was checked before the data were prepared.

    Raises:
        ValueError: as :func:`train`; or the data have another window than was checked.
    """
    if data.preprocessing.window_hu != checked.window_hu:
        theirs, own = (
            "{:g} to {:g} HU".format(*window)
            for window in (checked.window_hu, data.preprocessing.window_hu)
        )
        raise ValueError(
            f"the recipe was checked for slices of {theirs}, but these are of {own}; check it "
            "again for these"
        )
    if not is_first_process(checked.hardware):
        return _train(checked, data, run, progress, report)
    with locked(run / _STATE):
        return _train(checked, data, run, progress, report)


def _train(
    checked: CheckedRecipe,
    data: TrainingData,
    run: Path,
    progress: bool,
    report: Callable[[str], None],
) -> Path:
    """See :func:`train`; the run folder is locked."""
    recipe, hardware = checked.recipe, checked.hardware
    first = is_first_process(hardware)
    order, training, validation = loaders(recipe, data, hardware.workers)
    location_prior = places_in(data.slices, recipe.places)
    weights = run / f"{recipe.keep}.safetensors"
    if first:
        begin(run, recipe, data)
    if (run / FINISHED).exists():
        return weights
    if first:
        used = {"precision": precision_of(hardware), "layout": str(layout(hardware))}
        note_environment(run, {**asdict(hardware), **used})
    seed_everything(recipe.seed, verbose=False)
    teachers = [teacher.build() for teacher in checked.teachers]
    taught = Teachers(teachers, layout(hardware)) if teachers else None
    module = SliceSegmentation(recipe, len(order), _patients(data), hardware, taught)
    if checked.first is not None:
        module.network.load_state_dict(checked.first.tensors())
    elif recipe.head_start:
        start_head(module.network, recipe.head_start)

    def export(path: Path) -> None:
        _export(module, recipe, data, location_prior).save(path)

    stop = StopOnSignal()
    callbacks: list[Callback] = [
        stop,
        ShareThreads(hardware),
        SeedEachEpoch(recipe.seed, order),
        RecordEpochs(run, export, report),
    ]
    callbacks += _wanted(recipe, data, run, export)
    if progress:
        callbacks.append(RichProgressBar(leave=False))
    trainer = trainer_on(
        hardware, max_epochs=recipe.epochs, callbacks=callbacks, enable_progress_bar=progress
    )
    _check_share(len(order), trainer.world_size, recipe.batch_size)
    with stop.installed(), starting_processes(), errors_in_one_line(stop):
        _fit(trainer, module, (training, validation), _start(run / "last.ckpt"))
    if trainer.is_global_zero:
        if recipe.keep == "mean":
            kept = range(max(0, recipe.epochs - recipe.mean_epochs), recipe.epochs)
            known = _known(data) if recipe.batch_norm == "recomputed" else ()
            write_mean(run, kept, recipe.network, known)
        add_ranges(run, recipe.network, data.slices, report)
        last = read_json(run / "last.json")
        text = json.dumps({"epochs": last["epoch"] + 1, "weights": weights.name})
        write_whole({run / FINISHED: f"{text}\n".encode()})
    return weights


def _fit(
    trainer: Trainer,
    module: SliceSegmentation,
    splits: tuple[Loader, Loader],
    start: str | None,
) -> None:
    with warnings.catch_warnings(), safe_children():
        warnings.filterwarnings("ignore", module="lightning")  # about its own internals
        trainer.fit(module, *splits, ckpt_path=start)


def _wanted(
    recipe: Recipe, data: TrainingData, run: Path, export: Callable[[Path], None]
) -> Iterator[Callback]:
    """Yield the callbacks that the recipe asks for, and the one that saves each epoch."""
    if recipe.batch_norm == "recomputed":
        yield Recompute(_known(data))
    if recipe.keep == "mean":
        yield KeepLastEpochs(run, export, recipe.mean_epochs)
    if recipe.patience:
        yield ResumableEarlyStopping("val_loss", patience=recipe.patience, check_finite=False)
    yield ModelCheckpoint(dirpath=run.resolve(), filename="last", enable_version_counter=False)


def _check_share(draws: int, devices: int, batch_size: int) -> None:
    """Refuse a training whose devices would not get one whole batch in an epoch."""
    each = math.ceil(draws / devices)
    if each < batch_size:
        whose = "" if devices == 1 else f" for each of {devices} devices"
        raise ValueError(
            f"{each} training slices{whose} are fewer than one batch of {batch_size}; choose a "
            "smaller batch_size" + ("" if devices == 1 else ", or fewer `devices`")
        )


def _start(last: Path) -> str | None:
    """Return the checkpoint to resume from, if there is one."""
    if not last.exists():
        return None
    if not zipfile.is_zipfile(last):
        raise ValueError(DAMAGED)
    return str(last.resolve())


def _known(data: TrainingData) -> list[LabelledSlice]:
    """Return the training slices on which BatchNorm's statistics are recomputed."""
    return typical([s for s in data.slices if s.split == "train"])


def _patients(data: TrainingData) -> set[str]:
    """Return the validation patients that have slices."""
    return {s.patient for s in data.slices if s.split == "val"}


def _export(
    module: SliceSegmentation, recipe: Recipe, data: TrainingData, location_prior: Map | None
) -> Checkpoint:
    return Checkpoint(
        network=recipe.network,
        preprocessing=data.preprocessing,
        provenance=data.provenance,
        places=location_prior,
        weights=weights_of(module.network),
        dropout=recipe.dropout,
        windows=_windows_of(recipe),
    )


def _windows_of(recipe: Recipe) -> LookWindows | None:
    """Return the windows of a second look's network; None for one that sees whole slices."""
    if recipe.crop is None or recipe.crop_around != "label":
        return None
    return LookWindows(size=recipe.crop)
