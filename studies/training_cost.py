"""CPU time, wall time and memory of each stage of a training of one epoch on a folder of CTs.

``python studies/training_cost.py RECIPE DATA RUN [THREADS]`` does what ``pancseg train RECIPE
--data DATA --out RUN --epochs 1`` does, and prints a line for each stage. Peaks are Linux's own
(VmHWM); mapped pages are those of the slice cache and of libraries, which the system can drop.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pancseg.system.threads import limit_threads
from pancseg.training import fit
from pancseg.training.data.load import load_data
from pancseg.training.hardware import Hardware
from pancseg.training.predictions import write_predictions
from pancseg.training.recipe import load_recipe


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Print what the block took."""
    before, start = os.times(), time.perf_counter()
    yield
    after, wall_s = os.times(), time.perf_counter() - start
    cpu_s = after.user + after.system - before.user - before.system
    peak, now, mapped = (_status_mb(key) for key in ("VmHWM", "RssAnon", "RssFile"))
    print(
        f"{name}: {cpu_s:.0f} s of CPU in {wall_s:.0f} s; peak so far {peak:.0f} MB; "
        f"now {now:.0f} MB and {mapped:.0f} MB mapped",
        flush=True,
    )


def _status_mb(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) * 1024 / 1e6


def main(name: str, data: Path, run: Path, threads: int = 1) -> None:
    """Train for an epoch, and write masks unless the network is a second look's."""
    limit_threads(threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    recipe, hardware = load_recipe(name, epochs=1), Hardware(threads=threads)
    with stage("prepare slices"):
        prepared = load_data(recipe, data, cache=run / "cache")
    cached = sum(f.stat().st_size for f in (run / "cache").rglob("*.npy")) / 1e6
    print(f"{prepared.summary()}; cache {cached:.0f} MB")
    whole_fit = fit._fit

    def measured(*arguments: Any) -> None:
        with stage("one epoch, with its validation"):
            whole_fit(*arguments)

    with patch.object(fit, "_fit", measured), stage("the whole training"):
        weights = fit.train(recipe, prepared, run, hardware=hardware, report=print)
    if recipe.crop_around != "label":
        with stage("masks of the validation patients"):
            write_predictions(weights, prepared, data, run, hardware=hardware)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *map(int, sys.argv[4:5]))
