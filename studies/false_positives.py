"""What a checkpoint paints on real scans where there is no pancreas, before and after cleaning.

``python studies/false_positives.py DATA [WEIGHTS ...]``: DATA holds ``nih_p0006_stack`` and
``totalseg`` (docs/reproduce.md); WEIGHTS are shipped names or checkpoint files. Prints Markdown.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pancseg import Segmenter, read_scan
from pancseg.scans.arrays import voxel_array
from pancseg.scans.geometry import on_grid_of, orient
from pancseg.segmentation import DEFAULT_WEIGHTS
from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.segmentation.overlap import dice
from pancseg.segmentation.postprocess import FOUND, one_organ
from pancseg.tables.markdown_table import markdown_table

PANCREAS_IN_TOTALSEG = 7
TITLES = ["scan", "pancreas, mL", "slices without", "Dice, raw", "false mL, raw"]
TITLES += ["Dice, cleaned", "false mL, cleaned"]


def scans_of(data: Path) -> dict[str, tuple[sitk.Image, sitk.Image]]:
    """Return each scan with its mask (0, 1) on the scan's grid."""
    stack, whole = data / "nih_p0006_stack", data / "totalseg"
    pairs = {
        "80 slices of a training patient": (stack / "ct.nii.gz", stack / "mask.nii.gz"),
        "20 slices of an upper abdomen": (
            whole / "example_ct_dicom",
            whole / "example_seg_dicom.nii.gz",
        ),
        "3 mm scan": (whole / "example_ct_sm.nii.gz", whole / "example_seg.nii.gz"),
    }
    result = {}
    for name, (image_path, mask_path) in pairs.items():
        image = read_scan(image_path)
        mask = on_grid_of(image, read_scan(mask_path))
        wanted = 1 if image_path.parent == stack else PANCREAS_IN_TOTALSEG
        result[name] = (orient(image), orient(mask == wanted))
    return result


def row(name: str, image: sitk.Image, mask: sitk.Image, segmenter: Segmenter) -> list[str]:
    """Return a row: Dice, and mL in slices without pancreas, before and after cleaning."""
    voxel_ml = float(np.prod(image.GetSpacing())) / 1000
    truth = voxel_array(mask) > 0
    empty = ~truth.any(axis=(1, 2))
    levels = segmenter.looking.levels(image)
    raw, cleaned = levels == FOUND, one_organ(levels, image.GetSpacing())
    cells = [name, f"{truth.sum() * voxel_ml:.1f}", str(empty.sum())]
    for found in (raw, cleaned):
        cells += [f"{dice(found, truth):.3f}", f"{found[empty].sum() * voxel_ml:.1f}"]
    return cells


def main(data: Path, weights: list[str]) -> None:
    """Print one table per checkpoint."""
    pairs = scans_of(data)
    for name in weights:
        segmenter = Segmenter(load_checkpoint(name), threads=2, least_height_mm=0)
        rows = [row(scan, image, mask, segmenter) for scan, (image, mask) in pairs.items()]
        print(f"\n{Path(name).stem}\n\n{markdown_table(TITLES, rows, left=1)}", end="", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or [DEFAULT_WEIGHTS])
