"""Load training data from disk: slices on the network's grid, with their split and fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pancseg.segmentation.checkpoint import Preprocessing, Window
from pancseg.system.yaml_file import shipped_names
from pancseg.training.data.cache import CachedScan, build_cache
from pancseg.training.data.labelled_slice import LabelledSlice
from pancseg.training.data.pairs import TrainingPair, manifest_pairs, msd_pairs, msd_provenance
from pancseg.training.data.slice_set import SLICE_SETS, SliceSet, load_slice_set
from pancseg.training.data.slices import patients_of, read_slices
from pancseg.training.data.split import Split, read_split, split_patients
from pancseg.training.recipe import Recipe

_OWN_PROVENANCE = {
    "data": "CTs and masks of a manifest",
    "licence": "as stated by the data's owner",
    "attribution": "the owner of the data",
    "intended_use": "Research and teaching. Not a medical device; not for clinical use.",
}


@dataclass(frozen=True)
class TrainingData:
    """Slices ready to train on.

    Attributes:
        slices: the slices of both splits.
        shares: for each source, the share of its training slices that an epoch uses.
        preprocessing: the conversion to the network's grid.
        provenance: ``data``, ``licence``, ``attribution``, ``intended_use``, for the checkpoint.
        split: the patients for training and for validation.
        pairs: scans and masks of the validation patients; empty for stored slices.
        slice_set: the description of stored slices; None for scans.
    """

    slices: Sequence[LabelledSlice]
    shares: Sequence[float]
    preprocessing: Preprocessing
    provenance: dict[str, str]
    split: Split
    pairs: Sequence[TrainingPair] = ()
    slice_set: SliceSet | None = None

    def fingerprint(self) -> str:
        """Return a hash of every slice, its patient and its split."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(self.preprocessing.model_dump_json().encode())
        for item in self.slices:
            digest.update(f"{item.patient}\0{item.split}\0{item.source}\0".encode())
            digest.update(item.image.tobytes())
            digest.update(item.mask.tobytes())
        return digest.hexdigest()

    def summary(self) -> str:
        """Return one line with the numbers of patients and slices for training and validation."""
        parts = []
        for name, part in (("training", "train"), ("validation", "val")):
            members = [s for s in self.slices if s.split == part]
            patients = len({s.patient for s in members})
            parts.append(f"{name}: {patients} patients, {len(members)} slices")
        return "; ".join(parts)


def validation_names(data: TrainingData) -> list[str]:
    """Return the names of the masks to write: validation scans, or patients with stored slices.

    Phantoms get no masks, because they are not stored.
    """
    if data.slice_set is None:
        return sorted(pair.name for pair in data.pairs)
    stored = range(len(data.slice_set.sources))
    return sorted({s.patient for s in data.slices if s.split == "val" and s.source in stored})


def window_of(recipe: Recipe, slices: str | None) -> Window:
    """Return the window in HU of a training's slices: that of the slice set, or the recipe's.

    Raises:
        ValueError, FileNotFoundError: the slice set cannot be used.
    """
    return recipe.window_hu if slices is None else load_slice_set(slices).window_hu


def load_data(
    recipe: Recipe,
    data: Path,
    *,
    slices: str | None = None,
    cache: Path,
    split_file: Path | None = None,
    report: Callable[[str], None] = lambda patient: None,
) -> TrainingData:
    """Load training data and convert them to the network's grid.

    Args:
        recipe: gives the window, the size, the slices to use and the split's seed.
        data: an MSD folder (with ``dataset.json``), a manifest CSV of CTs and masks, or the folder
            that a slice set's paths are relative to.
        slices: the description of a slice set, a shipped name or a YAML file. It brings its own
            window and split.
        cache: folder of the slice cache of CTs.
        split_file: a file with the split to use instead of the recipe's or the slice set's.
        report: called with each scan's name when it is converted.

    Raises:
        CohortError: the data cannot be used; lists all problems.
        ValueError, FileNotFoundError: as for the readers of slice sets and splits, or a part of the
            split is empty.
    """
    if slices is not None:
        return _from_slice_set(recipe, data, load_slice_set(slices), split_file)
    if (data / "dataset.json").is_file():
        pairs, provenance = msd_pairs(data), msd_provenance(data)
    elif data.is_file():
        pairs, provenance = manifest_pairs(data), _OWN_PROVENANCE
    else:
        known = ", ".join(shipped_names(SLICE_SETS))
        raise ValueError(
            "`data` is neither an MSD folder (with dataset.json) nor a manifest CSV; for stored "
            f"slices, name their description with `slices` (shipped: {known}; or a YAML file)"
        )
    ids = [pair.patient for pair in pairs]
    split = read_split(split_file, ids) if split_file else split_patients(ids, recipe.seed)
    split.check()
    pairs = [pair for pair in pairs if split.part_of(pair.patient)]
    preprocessing = Preprocessing(window_hu=recipe.window_hu, size=recipe.size)
    found = build_cache(pairs, cache, preprocessing, report)
    return TrainingData(
        slices=[s for scan in found for s in _slices_of(scan, recipe, split)],
        shares=(1.0, recipe.empty_share),
        preprocessing=preprocessing,
        provenance=provenance,
        split=split,
        pairs=[pair for pair in pairs if split.part_of(pair.patient) == "val"],
    )


def _slices_of(scan: CachedScan, recipe: Recipe, split: Split) -> list[LabelledSlice]:
    """Return the slices of a scan that the recipe uses: source 0 with pancreas, 1 without."""
    part = split.part_of(scan.patient)
    assert part is not None
    numbers = range(len(scan.voxels))
    if recipe.z_range == "label":
        shown = scan.labelled.nonzero()[0]
        numbers = range(shown[0], shown[-1] + 1) if len(shown) else range(0)
    return [
        LabelledSlice(
            scan.patient,
            part,
            scan.voxels[i, 0],
            scan.voxels[i, 1],
            source=0 if scan.labelled[i] else 1,
        )
        for i in numbers
    ]


def _from_slice_set(
    recipe: Recipe, data: Path, slice_set: SliceSet, split_file: Path | None
) -> TrainingData:
    preprocessing = Preprocessing(window_hu=slice_set.window_hu, size=recipe.size)
    if split_file:
        split = read_split(split_file, patients_of(slice_set, data))
        slices = read_slices(slice_set, data, preprocessing, split.part_of)
        if lost := sorted({*split.train, *split.val} - {s.patient for s in slices}):
            raise ValueError(
                "the split file: all slices of "
                f"{', '.join(lost[:5])}"
                f"{f' and {len(lost) - 5} more' if len(lost) > 5 else ''} are excluded from "
                "validation by the slice set; leave these patients out, or move them to train"
            )
    else:
        slices = read_slices(slice_set, data, preprocessing)
        members = {
            part: tuple(sorted({s.patient for s in slices if s.split == part}))
            for part in ("train", "val")
        }
        split = Split(**members)
    return TrainingData(
        slices=slices,
        shares=[*(source.share for source in slice_set.sources), 1.0],  # phantoms come last
        preprocessing=preprocessing,
        provenance=slice_set.provenance.model_dump(),
        split=split,
        slice_set=slice_set,
    )
