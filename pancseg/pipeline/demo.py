"""The demo's cohort: synthetic CTs with known pancreases, and how well the masks match them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pancseg.features.settings import FeatureSettings
from pancseg.phantom import make_phantom
from pancseg.pipeline.result_table import results_table
from pancseg.processing.row import CaseResult
from pancseg.quality.limits import LimitRange
from pancseg.scans.arrays import voxel_array
from pancseg.scans.reading import read_scan
from pancseg.scans.writing import write_scan
from pancseg.segmentation.overlap import dice
from pancseg.system.whole_files import write_whole

_ORIENTATIONS = ("LPS", "RAS", "LAS", "RPI")
"""Scans come in all orientations; so do these."""

_MARK, _MARK_TEXT = "README.txt", "Made by `pancseg demo`: synthetic patients, safe to delete.\n"

_COLUMNS = ["patient_id", "qc_status", "qc_volume_ml", "original_shape_Sphericity"]
_COLUMNS += ["original_firstorder_Median", "original_glcm_JointEntropy"]


def make_cohort(folder: Path, patients: int) -> Path:
    """Write ``scans/``, ``truth/`` and ``manifest.csv`` of synthetic patients 1, 2 and so on.

    Every second patient has a tumour.

    Returns:
        The manifest's path.

    Raises:
        ValueError: the folder holds something that no demo made.
    """
    if folder.exists() and any(folder.iterdir()) and not _is_demo(folder):
        raise ValueError(f"{folder} holds other files; choose an empty or new folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).write_text(_MARK_TEXT, encoding="utf-8")
    for name in ("scans", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines = ["patient_id,image"]
    for seed in range(1, patients + 1):
        phantom = make_phantom(seed, orientation=_ORIENTATIONS[seed % 4], tumour=seed % 2 == 0)
        name = f"phantom_{seed:02}"
        write_scan(phantom.image, folder / "scans" / f"{name}.nii.gz")
        write_scan(phantom.mask, folder / "truth" / f"{name}.nii.gz")
        lines.append(f"{name},scans/{name}.nii.gz")
    manifest = folder / "manifest.csv"
    write_whole({manifest: "\n".join([*lines, ""]).encode()})
    return manifest


def settings_of(preset: FeatureSettings) -> FeatureSettings:
    """Return a preset that takes the demo's coarse slices, 5 mm apart to be quick, as they are."""
    limits = preset.quality.model_copy(update={"slice_mm": LimitRange(warn_above=5, fail_above=5)})
    return preset.model_copy(update={"quality": limits})


def _is_demo(folder: Path) -> bool:
    mark = folder / _MARK
    return mark.is_file() and mark.read_text(encoding="utf-8", errors="replace") == _MARK_TEXT


def dice_of(outcome: CaseResult, folder: Path) -> float:
    """Return the Dice of one patient's mask against the truth; 0 where there is no mask."""
    name = f"{outcome.case.name}.nii.gz"
    if not outcome.usable:
        return 0.0
    found, truth = (read_scan(folder / place / name) for place in ("masks", "truth"))
    return dice(voxel_array(found) > 0, voxel_array(truth) > 0)


def summary(outcomes: Sequence[CaseResult], folder: Path) -> str:
    """Return the table's head, the Dice of each patient, and where the files are."""
    frame = results_table(outcomes)
    head = frame[[c for c in _COLUMNS if c in frame]].round(3).to_string(index=False)
    agreement = [f"{o.case.name} {dice_of(o, folder):.2f}" for o in outcomes]
    return "\n".join(
        [
            "",
            f"Some of the {len(frame.columns)} columns:",
            head,
            "",
            f"Dice against the known pancreas: {', '.join(agreement)}",
            f"CTs {folder / 'scans'}, masks {folder / 'masks'}, truth {folder / 'truth'}",
        ]
    )
