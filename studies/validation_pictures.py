"""Draw the best, the median and the worst validation patient of a checkpoint.

``python studies/validation_pictures.py DATA WEIGHTS OUT.jpg``: DATA holds the slices of
``open_whole``; WEIGHTS is a shipped name or a checkpoint file. Of each patient's whole slices the
one with the median Dice is shown, 256×256 pixels of it. The slices are of TCIA Pancreas-CT
(CC BY 3.0).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pancseg.pictures.colours import CONTOUR, MEASURED
from pancseg.segmentation import engines
from pancseg.segmentation.checkpoint import load_checkpoint
from pancseg.segmentation.overlap import dice
from pancseg.training.data.slice_set import SliceSource, load_slice_set
from pancseg.training.data.slices import NativeSlice, native_slices
from pancseg.training.predictions import found_in

Mask = NDArray[np.bool_]
SIDE = 256
WINDOW_HU = (0, 240)


def seen(data: Path, weights: str) -> dict[str, list[tuple[NativeSlice, Mask]]]:
    """Return each patient's slices that show pancreas, with what the weights found."""
    checkpoint = load_checkpoint(weights)
    networks = [checkpoint] if checkpoint.second is None else [checkpoint, checkpoint.second]
    built = [
        engines.build(each, 2, engines.pick(network=each.network), "fp32") for each in networks
    ]
    found: defaultdict[str, list[tuple[NativeSlice, Mask]]] = defaultdict(list)
    for source in load_slice_set("open_whole").sources:
        if isinstance(source, SliceSource) and source.box is None:
            for native in native_slices(source, data):
                if native.split == "val" and native.mask.any():
                    mask = found_in(native, built[0], checkpoint, *built[1:])[-1]
                    found[native.patient].append((native, mask))
    return found


def pooled(slices: list[tuple[NativeSlice, Mask]]) -> float:
    """Return the Dice over all slices of a patient."""
    return dice(np.stack([m for _, m in slices]), np.stack([n.mask for n, _ in slices]))


def draw(axes: Axes, slices: list[tuple[NativeSlice, Mask]], title: str) -> None:
    """Show the slice of median Dice, with both contours."""
    ordered = sorted(slices, key=lambda each: dice(each[1], each[0].mask))
    native, found = ordered[len(ordered) // 2]
    rows, columns = np.nonzero(native.mask | found)
    top, left = (
        int(np.clip((side.min() + side.max() - SIDE) // 2, 0, length - SIDE))
        for side, length in zip((rows, columns), native.mask.shape, strict=True)
    )
    part = np.s_[top : top + SIDE, left : left + SIDE]
    axes.imshow(native.hu[part], cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1])
    for mask, colour in ((native.mask, MEASURED), (found, CONTOUR)):
        axes.contour(mask[part].astype(float), [0.5], colors=colour, linewidths=1.4)
    values = f"Dice {pooled(slices):.3f}; this slice {dice(found, native.mask):.3f}"
    axes.set_title(f"{title}\n{values}", fontsize=11)
    axes.set_axis_off()


def main(data: Path, weights: str, out: Path) -> None:
    """Write the picture."""
    found = seen(data, weights)
    patients = sorted(found, key=lambda patient: pooled(found[patient]), reverse=True)
    chosen = {"best": 0, "median": len(patients) // 2, "worst": len(patients) - 1}
    figure, all_axes = plt.subplots(1, 3, figsize=(12.6, 5.1), layout="constrained")
    for axes, (word, place) in zip(all_axes, chosen.items(), strict=True):
        patient = patients[place]
        draw(axes, found[patient], f"{word} of {len(patients)}, patient {patient.split('-')[-1]}")
    labels = {"manual mask": MEASURED, Path(weights).stem: CONTOUR}
    lines = [Line2D([], [], color=colour, label=label) for label, colour in labels.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(out, dpi=100, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
