"""Write masks of the validation patients and the reference masks, for ``evaluate`` to compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg.cohort.case import is_name
from pancseg.errors import UnusableCase
from pancseg.running.keys import MASK_VERSION
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.writing import write_scan
from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.segmentation.engines import Probabilities
from pancseg.segmentation.loaded_networks import require_whole_slices
from pancseg.segmentation.location_prior import look
from pancseg.segmentation.looks import THRESHOLD
from pancseg.segmentation.second_look import SecondLook, Wanted, found_by_both, mean_of_looks
from pancseg.segmentation.segmenter import Segmenter
from pancseg.system.output_folder import check_output_folder
from pancseg.system.threads import available_cores
from pancseg.system.whole_files import write_whole
from pancseg.training.data.cache import read_pair
from pancseg.training.data.labelled_slice import grid_of
from pancseg.training.data.load import TrainingData, load_data, validation_names
from pancseg.training.data.pairs import TrainingPair
from pancseg.training.data.slice_set import SliceSet
from pancseg.training.data.slices import NativeSlice, native_slices
from pancseg.training.hardware import Hardware, on_gpu
from pancseg.training.recipe import Recipe

Masks = tuple[str, tuple[sitk.Image, sitk.Image]]
"""A scan's name (for stored slices, the patient's), its reference mask and its predicted mask."""

FOLDERS = ("references", "predictions")
_MADE_BY = "weights.sha256"
_AT_ONCE = 8
"""Number of windows to give to a network at a time."""


def check_free(run: Path) -> None:
    """Refuse a run folder that is not pancseg's, or with masks that no training wrote.

    Raises:
        ValueError: the folder holds other files, links in place of a training's, or such masks.
    """
    check_output_folder(run)
    if (run / FOLDERS[1] / _MADE_BY).is_file():
        return
    for folder in FOLDERS:
        if (run / folder).is_dir() and any((run / folder).iterdir()):
            raise ValueError(
                f"{folder} contains files that no training wrote; choose another `run` folder"
            )


def write_predictions(  # noqa: PLR0913
    weights: str | Path,
    data: TrainingData,
    source: Path,
    run: Path,
    *,
    hardware: Hardware,
    report: Callable[[str], None] = lambda patient: None,
    allow_code: bool | str = False,
) -> None:
    """Write ``predictions/<name>.nii.gz`` and ``references/<name>.nii.gz`` to the run folder.

    Whole CTs go through the segmenter, cleaning included; a CT in which it finds nothing gets an
    empty mask. Stored slices are stacked 1 mm apart, which is right for Dice, but makes volumes and
    distances meaningless. Masks that already exist for these weights and data are kept.

    Args:
        weights: name of a shipped checkpoint, or path of a file.
        data: the training data with the validation patients.
        source: the folder that a slice set's paths are relative to.
        run: the run folder.
        hardware: gives the threads, and whether a GPU may run the network.
        report: called with each name when its masks are written.
        allow_code: accept a network outside pancseg and run its code.

    Raises:
        ValueError: as for :func:`check_free`, the data have changed on disk, or the weights are a
            second look's.
        OSError: the masks cannot be written.
    """
    check_free(run)
    references, predictions = (run / folder for folder in FOLDERS)
    names = validation_names(data)
    made_by = predictions / _MADE_BY
    checkpoint = load_checkpoint(weights, allow_code=allow_code)
    require_whole_slices(checkpoint)
    made_of = checkpoint.made_of("fp32")
    stamp = [f"{made_of} {data.fingerprint()} {MASK_VERSION}", *names]
    before = made_by.read_text(encoding="utf-8").splitlines() if made_by.is_file() else []
    if before[:1] != stamp[:1]:
        for folder in (predictions, references):
            folder.mkdir(parents=True, exist_ok=True)
            for name in {*names, *filter(is_name, before[1:])}:  # the stamp may be forged
                (folder / f"{name}.nii.gz").unlink(missing_ok=True)
    if before != stamp:
        write_whole({made_by: ("\n".join(stamp) + "\n").encode()})
    todo = [name for name in names if not (predictions / f"{name}.nii.gz").exists()]
    engine = engines.pick(gpu=on_gpu(hardware), network=checkpoint.network)
    threads = hardware.threads
    networks = (checkpoint, checkpoint.second)
    masks = (
        _of_stored_slices(
            data.slice_set,
            source,
            todo,
            checkpoint,
            [engines.build(each, threads, engine, "fp32") for each in networks if each],
        )
        if data.slice_set is not None
        else _of_scans(data.pairs, todo, Segmenter(checkpoint, threads=threads, engine=engine))
    )
    for name, both in masks:
        for folder, mask in zip((references, predictions), both, strict=True):
            write_scan(mask, folder / f"{name}.nii.gz")
        report(name)


def found_in(
    native: NativeSlice,
    probabilities: Probabilities,
    checkpoint: Checkpoint,
    second: Probabilities | None = None,
) -> list[NDArray[np.bool_]]:
    """Return the mask of one stored slice after each look; pixels without labels are 0.

    There is no 3-D cleaning, so the second look goes to all that the first found.

    The checkpoint's location prior applies to whole slices only, because a box does not show the
    body's frame.

    Args:
        native: the slice.
        probabilities: the network, loaded into an engine.
        checkpoint: gives the preprocessing and the location prior.
        second: the second look's network; None for one look.

    Returns:
        A mask ``(y, x)`` for each look, in the slice's own resolution.
    """
    grid = grid_of(native.hu.shape, checkpoint.preprocessing)
    air = checkpoint.preprocessing.window_hu[0]  # as in training (``on_network_grid``)
    hu = np.where(native.shown, native.hu, air)
    slices = grid.to_network(hu[None])
    location_prior = checkpoint.places if native.shown.all() else None
    probability = look(location_prior, probabilities, slices)
    found: NDArray[np.bool_] = grid.to_scan(probability)[0] >= THRESHOLD
    if second is None or checkpoint.second is None:
        return [found & native.known]
    look_again = SecondLook.for_stored(hu.shape, checkpoint.second)
    (seen,) = look_again.at([Wanted(0, hu, found)], second, at_once=_AT_ONCE)
    both = mean_of_looks(probability[0], grid, seen, look_again.grid)
    return [found & native.known, found_by_both(both) & native.known]


def _of_scans(
    pairs: Sequence[TrainingPair], todo: list[str], segmenter: Segmenter
) -> Iterator[Masks]:
    for pair in pairs:
        if pair.name in todo:
            try:
                image, truth = read_pair(pair)
            except UnusableCase as unusable:
                raise ValueError(f"{pair.name}: {unusable.fact}") from unusable
            try:
                found = segmenter.segment(image)
            except UnusableCase:  # nothing found
                found = image_like(np.zeros(voxel_array(image).shape, np.uint8), image)
            yield pair.name, (truth, found)


def _of_stored_slices(
    slice_set: SliceSet,
    source: Path,
    todo: list[str],
    checkpoint: Checkpoint,
    networks: Sequence[Probabilities],
) -> Iterator[Masks]:
    members: defaultdict[str, list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]]
    members = defaultdict(list)
    for part in slice_set.sources:
        for native in native_slices(part, source) if part.in_validation else ():
            if native.patient in todo:
                *_, found = found_in(native, networks[0], checkpoint, *networks[1:])
                members[native.patient].append((native.mask, found))
    for patient, slices in members.items():
        if len({mask.shape for mask, _ in slices}) > 1:
            sizes = sorted({f"{x}×{y}" for y, x in (mask.shape for mask, _ in slices)})
            raise ValueError(
                f"{patient}: slices of different sizes ({', '.join(sizes)}) cannot be stacked; use "
                "slices of one size per patient"
            )
        stacks = [np.stack(masks).astype(np.uint8) for masks in zip(*slices, strict=True)]
        yield patient, (sitk.GetImageFromArray(stacks[0]), sitk.GetImageFromArray(stacks[1]))


def predict_slice_set(
    weights: str | Path, slices: str, data: Path, run: Path, *, allow_code: bool = False
) -> None:
    """Write predicted and reference masks of a slice set's validation patients, for any weights.

    Args:
        weights: name of a shipped checkpoint, or path of a file.
        slices: name of a shipped slice set, or path of a YAML file.
        data: the folder that the slice set's paths are relative to.
        run: the folder that receives ``predictions`` and ``references``.
        allow_code: accept a network outside pancseg, whose code then runs.

    Raises:
        ValueError, OSError: as for :func:`write_predictions`, or the slice set cannot be read.
    """
    check_free(run)
    prepared = load_data(Recipe(epochs=1), data, slices=slices, cache=run)
    hardware = Hardware(threads=available_cores())
    write_predictions(weights, prepared, data, run, hardware=hardware, allow_code=allow_code)
