"""What 8-bit arithmetic gains and costs: time, Dice and changed pixels of validation patients.

``python studies/int8.py DATA [WEIGHTS]``: DATA is what the slice set ``open`` describes
(docs/reproduce.md); WEIGHTS a shipped name or a checkpoint file that holds ranges of activations.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pancseg.segmentation import DEFAULT_WEIGHTS, engines
from pancseg.segmentation.checkpoint import Checkpoint, load_checkpoint
from pancseg.system.threads import available_cores
from pancseg.tables.markdown_table import markdown_table
from pancseg.training.data.slice_set import load_slice_set
from pancseg.training.data.slices import native_slices
from pancseg.training.predictions import found_in

PRECISIONS = ("fp32", "int8")
ROUNDS, SLICES = 5, 8
Masks = NDArray[np.bool_]


class Patient:
    """Pixels of one patient's masks, summed over slices."""

    def __init__(self) -> None:
        self.sizes = np.zeros(2, np.int64)
        self.shared = np.zeros(2, np.int64)
        self.total = np.zeros(2, np.int64)
        self.changed = 0

    def add(self, found: tuple[Masks, Masks], reference: Masks) -> None:
        """Count a slice; Dice is over slices with pancreas, all else over all slices."""
        sizes = np.array([np.count_nonzero(mask) for mask in found])
        self.sizes += sizes
        self.changed += int(np.count_nonzero(found[0] != found[1]))
        if reference.any():
            self.shared += [2 * np.count_nonzero(mask & reference) for mask in found]
            self.total += sizes + np.count_nonzero(reference)

    @property
    def dice(self) -> NDArray[np.float64]:
        """Dice in fp32 and in int8."""
        return self.shared / np.maximum(self.total, 1)


def seconds_of(networks: list[Any]) -> NDArray[np.float64]:
    """Time some slices of 256×256 with each network, in turn: ``(rounds, networks)``."""
    stack = np.random.default_rng(0).random((SLICES, 256, 256), dtype=np.float32)
    for network in networks:
        network(stack[:2])
    spent = np.zeros((ROUNDS, len(networks)))
    for round_ in range(ROUNDS):
        for which, network in enumerate(networks):
            start = time.process_time()  # of all threads; other work beside it counts little
            network(stack)
            spent[round_, which] = time.process_time() - start
    return spent


def patients_of(
    checkpoint: Checkpoint, networks: list[Any], data: Path
) -> dict[tuple[str, str], Patient]:
    """Count the validation patients' stored slices, whole ones and boxes apart."""
    found: defaultdict[tuple[str, str], Patient] = defaultdict(Patient)
    for source in load_slice_set("open").sources:
        what = "box" if getattr(source, "box", None) else "whole"
        for native in native_slices(source, data):
            if native.split == "val":
                exact, other = (found_in(native, each, checkpoint)[0] for each in networks)
                found[what, native.patient].add((exact, other), native.mask)
    return dict(sorted(found.items(), reverse=True))


def main(data: Path, weights: str = DEFAULT_WEIGHTS) -> None:
    """Print a table of patients, and the ratio of CPU times."""
    checkpoint, threads = load_checkpoint(weights), available_cores()
    networks = [engines.build(checkpoint, threads, "openvino", each) for each in PRECISIONS]
    spent = seconds_of(networks)
    ratios = spent[:, 0] / spent[:, 1]
    print(
        f"CPU time of {SLICES} slices of 256×256, fp32 ÷ int8, {ROUNDS} rounds: "
        f"{ratios.mean():.2f} ± {ratios.std(ddof=1):.2f}\n"
    )
    found = patients_of(checkpoint, networks, data)
    rows = [
        (
            *key,
            *(f"{dice:.4f}" for dice in one.dice),
            f"{100 * one.changed / max(one.sizes[0], 1):.2f}",
            f"{100 * (one.sizes[1] / max(one.sizes[0], 1) - 1):+.2f}",
        )
        for key, one in found.items()
    ]
    for what in ("whole", "box"):
        members = [one for key, one in found.items() if key[0] == what]
        dice = np.mean([one.dice for one in members], axis=0)
        sizes = sum(one.sizes for one in members)
        changed = sum(one.changed for one in members)
        rows.append(
            (
                what,
                f"all {len(members)}",
                *(f"{each:.4f}" for each in dice),
                f"{100 * changed / sizes[0]:.2f}",
                f"{100 * (sizes[1] / sizes[0] - 1):+.2f}",
            )
        )
    titles = ["what", "patient", "Dice, fp32", "Dice, int8", "changed pixels, %", "size, %"]
    print(markdown_table(titles, rows, left=2), end="")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
