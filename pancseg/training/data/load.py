"""From training data on disk to slices ready to train on, with their split and fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pancseg.segmentation.checkpoint import Preprocessing
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
    "licence": "as their owner says",
    "attribution": "the owner of the data",
    "intended_use": "Research and teaching. Not a medical device; not for clinical use.",
}


@dataclass(frozen=True)
class TrainingData:
    """Slices ready to train on.

    Attributes:
        slices: all of them, both splits.
        shares: for each source, the share of its training slices that an epoch sees.
        preprocessing: what brought them to the network's grid.
        provenance: ``data``, ``licence``, ``attribution``, ``intended_use``, for the checkpoint.
        split: which patients train and which validate.
        pairs: the validation patients' scans and masks, where there are whole ones.
        slice_set: the description of stored slices, where those are all there is.
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
        """Return one line: how many patients and slices train and validate."""
        parts = []
        for name, part in (("training", "train"), ("validation", "val")):
            members = [s for s in self.slices if s.split == part]
            patients = len({s.patient for s in members})
            parts.append(f"{name}: {patients} patients, {len(members)} slices")
        return "; ".join(parts)


def validation_names(data: TrainingData) -> list[str]:
    """Return the names of what gets masks: the validation scans, or patients with stored slices.

    Phantoms get none: they are not stored.
    """
    if data.slice_set is None:
        return sorted(pair.name for pair in data.pairs)
    stored = range(len(data.slice_set.sources))
    return sorted({s.patient for s in data.slices if s.split == "val" and s.source in stored})


def load_data(
    recipe: Recipe,
    data: Path,
    *,
    slices: str | None = None,
    cache: Path,
    split_file: Path | None = None,
    report: Callable[[str], None] = lambda patient: None,
) -> TrainingData:
    """Bring training data to the network's grid.

    Args:
        recipe: for the window, the size, the slices to take and the split's seed.
        data: an MSD folder (with ``dataset.json``), a manifest CSV of CTs and masks, or the folder
            that a slice set's sources are relative to.
        slices: the description of a slice set: a shipped name or a YAML file. It brings its own
            window and split.
        cache: where the slice cache of CTs lives.
        split_file: take this split instead of the recipe's or the slice set's.
        report: called with each scan's name when it is converted.

    Raises:
        CohortError: the data are not usable; all problems at once.
        ValueError, FileNotFoundError: as the readers of recipes, slice sets and splits; or a part
            of the split is empty.
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
            f"slices name their description with `slices` (shipped: {known}, or a YAML file)"
        )
    owners = [pair.patient for pair in pairs]
    split = read_split(split_file, owners) if split_file else split_patients(owners, recipe.seed)
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
    """Return a scan's slices as the recipe wants them; source 1 are those without pancreas."""
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
                f"{split_file.name}: of {', '.join(lost[:5])}"
                f"{f' and {len(lost) - 5} more' if len(lost) > 5 else ''} there are only slices "
                "that the slice set keeps out of the validation; leave them out, or let them train"
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
