"""The demo's cohort: make synthetic CTs with a known pancreas, and score the masks against it."""

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
from pancseg.system.output_folder import check_output_folder
from pancseg.system.whole_files import write_whole

_ORIENTATIONS = ("LPS", "RAS", "LAS", "RPI")
"""Real scans come in various orientations, and so do these."""

_MARK, _MARK_TEXT = "README.txt", "Made by `pancseg demo`: synthetic patients, safe to delete.\n"

_COLUMNS = ["patient_id", "qc_status", "qc_volume_ml", "original_shape_Sphericity"]
_COLUMNS += ["original_firstorder_Median", "original_glcm_JointEntropy"]


def make_cohort(folder: Path, patients: int) -> Path:
    """Write ``scans/``, ``truth/`` and ``manifest.csv`` of synthetic patients 1, 2 and so on.

    Every second patient has a tumour.

    Returns:
        The path of the manifest.

    Raises:
        ValueError: the folder holds files that are not a demo's, or links in place of a demo's.
    """
    check_output_folder(folder)
    if folder.exists() and any(folder.iterdir()) and not _is_demo(folder):
        raise ValueError("the output folder holds other files; choose an empty or new `out`")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole({folder / _MARK: _MARK_TEXT.encode()})
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
    """Return a preset that accepts the demo's slices, which are 5 mm apart to be quick."""
    limits = preset.quality.model_copy(update={"slice_mm": LimitRange(warn_above=5, fail_above=5)})
    return preset.model_copy(update={"quality": limits})


def _is_demo(folder: Path) -> bool:
    mark = folder / _MARK
    return mark.is_file() and mark.read_text(encoding="utf-8", errors="replace") == _MARK_TEXT


def dice_of(result: CaseResult, folder: Path) -> float:
    """Return the Dice of one patient's mask with the truth; 0 if there is no usable mask."""
    name = f"{result.case.name}.nii.gz"
    if not result.usable:
        return 0.0
    found, truth = (read_scan(folder / kind / name) for kind in ("masks", "truth"))
    return dice(voxel_array(found) > 0, voxel_array(truth) > 0)


def summary(results: Sequence[CaseResult], folder: Path) -> str:
    """Return a text with part of the table, the Dice of each patient and the files' folders."""
    frame = results_table(results)
    head = frame[[c for c in _COLUMNS if c in frame]].round(3).to_string(index=False)
    agreement = [f"{r.case.name} {dice_of(r, folder):.2f}" for r in results]
    return "\n".join(
        [
            "",
            f"Some of the {len(frame.columns)} columns:",
            head,
            "",
            f"Dice against the known pancreas: {', '.join(agreement)}",
            "made for the demo, in the output folder: scans/, and the known pancreas in truth/",
        ]
    )
