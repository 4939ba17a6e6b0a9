"""Train a network with Lightning: from a recipe and slices to a run folder with checkpoints."""

from __future__ import annotations

import json
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from torch.utils.data import DataLoader, Dataset

from pancseg.running.lock import locked
from pancseg.segmentation.checkpoint import Checkpoint, Window, load_checkpoint, weights_of
from pancseg.segmentation.location_prior import Map
from pancseg.segmentation.look_windows import LookWindows
from pancseg.segmentation.networks import build_network, is_outside
from pancseg.system.json_file import read_json
from pancseg.system.processes.python_child import safe_children
from pancseg.system.whole_files import write_whole
from pancseg.training.averaging import KeepLastEpochs, write_mean
from pancseg.training.batch_norm import recompute, typical
from pancseg.training.calibration import add_ranges
from pancseg.training.callbacks import DAMAGED, RecordEpochs, ResumableEarlyStopping, SeedEachEpoch
from pancseg.training.data.dataset import (
    Item,
    LabelWindows,
    Shuffled,
    TrainingSlices,
    WholeSlices,
)
from pancseg.training.data.labelled_slice import LabelledSlice
from pancseg.training.data.load import TrainingData
from pancseg.training.distillation import Teachers, load_teachers
from pancseg.training.hardware import (
    DEFAULT_HARDWARE,
    Hardware,
    check_hardware,
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
        ValueError: as :func:`check`; the run folder belongs to another recipe or other data, or its
            ``last.ckpt`` is damaged; the slices are not usable; or the loss stopped being finite.
        RunRefused: another training is writing into the run folder.
        RunStopped: SIGTERM, SIGUSR1 or SIGUSR2 arrived; the same call goes on from the last whole
            epoch.
        ProcessDied: a process that prepares slices died.
    """
    check(recipe, hardware, data.preprocessing.window_hu)
    if not is_first_process(hardware):
        return _train(recipe, data, run, hardware, progress, report)
    with locked(run / _STATE):
        return _train(recipe, data, run, hardware, progress, report)


def _train(
    recipe: Recipe,
    data: TrainingData,
    run: Path,
    hardware: Hardware,
    progress: bool,
    report: Callable[[str], None],
) -> Path:
    """See :func:`train`; the run folder is locked."""
    first = is_first_process(hardware)
    order, training, validation = _loaders(recipe, data, hardware.workers)
    location_prior = places_in(data.slices, recipe.places)
    teachers = load_teachers(recipe, data.preprocessing.window_hu)
    weights = run / f"{recipe.keep}.safetensors"
    if first:
        begin(run, recipe, data)
    if (run / FINISHED).exists():
        return weights
    if first:
        used = {"precision": precision_of(hardware), "layout": str(layout(hardware))}
        note_environment(run, {**asdict(hardware), **used})
    seed_everything(recipe.seed, verbose=False)
    taught = Teachers([t.build() for t in teachers], layout(hardware)) if teachers else None
    module = SliceSegmentation(recipe, len(order), _patients(data), hardware, taught)
    if recipe.init_from:
        module.network.load_state_dict(_first_weights(recipe, recipe.init_from).tensors())
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
    loaders: tuple[DataLoader[Item], DataLoader[Item]],
    start: str | None,
) -> None:
    with warnings.catch_warnings(), safe_children():
        warnings.filterwarnings("ignore", module="lightning")  # about its own internals
        trainer.fit(module, *loaders, ckpt_path=start)


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


def check(recipe: Recipe, hardware: Hardware, window_hu: Window) -> None:
    """Refuse hardware, first weights or teachers that a training cannot start with.

    It is quick, so that it can run before the data are prepared.

    Args:
        recipe: what to train.
        hardware: where and how to compute.
        window_hu: that of the data.

    Raises:
        ValueError: hardware that is not available or that Lightning does not know, weights in
            ``init_from`` that belong to another network or see another window in HU, or teachers
            that see other pictures.
        FileNotFoundError: the weights in ``init_from`` or of a teacher do not exist.
    """
    check_hardware(hardware)
    load_teachers(recipe, window_hu)
    if is_outside(recipe.network):
        build_network(recipe.network)
    if recipe.init_from:
        first = _first_weights(recipe, recipe.init_from)
        if first.network != recipe.network:
            raise ValueError(
                f"init_from: these weights are of network {first.network}, but the recipe trains "
                f"{recipe.network}; give weights of the same network"
            )
        known_hu = first.preprocessing.window_hu
        if known_hu != window_hu:
            theirs, own = (f"{low:g} to {high:g} HU" for low, high in (known_hu, window_hu))
            raise ValueError(
                f"init_from: these weights see {theirs}, but the slices to train on {own} "
                "(window_hu); give both the same window"
            )


def _first_weights(recipe: Recipe, init_from: str) -> Checkpoint:
    """Load the checkpoint to start from; a recipe that names code outside pancseg allows it."""
    return load_checkpoint(init_from, allow_code=recipe.network)


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


def _loaders(
    recipe: Recipe, data: TrainingData, workers: int
) -> tuple[Shuffled, DataLoader[Item], DataLoader[Item]]:
    """Return the order of the training slices, and the loaders of both splits."""
    training = [s for s in data.slices if s.split == "train"]
    validation = [s for s in data.slices if s.split == "val"]
    for split, members in (("training", training), ("validation", validation)):
        if not members:
            raise ValueError(
                f"the {split} set is empty: none of the {len(data.slices)} slices belongs to it"
            )
    if both := {s.patient for s in training} & {s.patient for s in validation}:
        raise ValueError(
            f"patients in both training and validation: {', '.join(sorted(both))}; put each in one"
        )
    order = Shuffled([s.source for s in training], data.shares, recipe.seed)
    common: dict[str, Any] = {
        "batch_size": recipe.batch_size,
        "num_workers": workers,
        "generator": torch.Generator(),  # separate, so as not to draw from torch's
    }
    return (
        order,
        DataLoader(TrainingSlices(training, recipe), sampler=order, drop_last=True, **common),
        DataLoader(_validation_set(validation, recipe), **common),
    )


def _validation_set(slices: list[LabelledSlice], recipe: Recipe) -> Dataset[Item]:
    """Return what the network is validated on: what it will see in use."""
    if recipe.crop is not None and recipe.crop_around == "label":
        return LabelWindows(slices, recipe.crop)
    return WholeSlices(slices)


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
