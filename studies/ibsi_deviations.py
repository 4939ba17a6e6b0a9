"""What each deviation from plain pyradiomics is worth: IBSI's configurations C and D without it.

``python studies/ibsi_deviations.py IBSI_DATA`` with a copy of github.com/theibsi/data_sets.
Counts of the 102 reference values that agree.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import SimpleITK as sitk

from pancseg import FeatureSettings, load_feature_settings, read_scan
from pancseg.features.extract import compute_features
from pancseg.features.ibsi import compute, grid
from pancseg.features.ibsi.compute import discretised
from pancseg.selftest.configurations import CT_IMAGE, CT_MASK, CT_REFERENCES
from pancseg.selftest.score import read_references, score
from pancseg.tables.markdown_table import markdown_table


def aligned_corners(self: grid.ResamplingGrid, axis: int, first: int, count: int) -> Any:
    """Return where pyradiomics puts voxels: corner on corner."""
    step = self.new_spacing_mm[axis] / self.spacing_mm[axis]
    places = 0.5 * (step - 1) + np.arange(first, first + count) * step
    return places.clip(0, self.shape[axis] - 1)


def nearest_mask(inside: Any, target: grid.ResamplingGrid, part: Any) -> Any:
    """Return the mask's nearest voxels."""
    places = [target.places(axis, part.start[axis], part.size[axis]) for axis in range(3)]
    return inside[np.ix_(*[np.floor(p + 0.5).astype(int) for p in places])]


def multiples_of_the_width(intensities: Any, binning: Any, start: float | None) -> Any:
    """Return grey levels whose bins begin at multiples of their width."""
    if binning.width is None:
        return discretised(intensities, binning, start)
    bins = np.floor(intensities / binning.width)
    return (bins - bins.min() + 1).astype(np.int64)


@contextmanager
def nothing() -> Iterator[None]:
    """Change nothing."""
    yield


def agreeing(folder: Path, change: Callable[[FeatureSettings, str], FeatureSettings]) -> list[str]:
    """Return the scores of C and D with changed settings."""
    scan = read_scan(folder / CT_IMAGE)
    region = sitk.Cast(read_scan(folder / CT_MASK) > 0, sitk.sitkUInt8)
    found = []
    for letter in "cd":
        settings = change(load_feature_settings(f"ibsi_{letter}"), letter)
        text = (folder / CT_REFERENCES.format(letter)).read_text(encoding="utf-8-sig")
        values = compute_features(scan, region, settings).values
        result = score(letter, values, read_references(text), ("_3D_avg", "_3D"))
        found.append(f"{result.agree}/{result.compared}")
    return found


def plain(settings: FeatureSettings, letter: str) -> FeatureSettings:
    """Return the same configuration for pyradiomics."""
    setting = dict(settings.parameters["setting"])
    if letter == "d":
        setting |= {"resegmentMode": "sigma", "resegmentRange": [-3, 3]}
    return FeatureSettings(name="custom", parameters={**settings.parameters, "setting": setting})


def main(folder: Path) -> None:
    """Print a Markdown table."""
    same = lambda settings, letter: settings  # noqa: E731
    unrounded = lambda s, letter: s.model_copy(update={"ibsi": {**s.ibsi, "hu": False}})  # noqa: E731
    rows = [
        ("mode ibsi", same, nothing()),
        ("not rounded to whole HU", unrounded, nothing()),
        ("corners aligned", same, patch.object(grid.ResamplingGrid, "places", aligned_corners)),
        ("nearest voxel of the mask", same, patch.object(grid, "interpolated_mask", nearest_mask)),
        ("bins at multiples", same, patch.object(compute, "discretised", multiples_of_the_width)),
        ("mode pyradiomics", plain, nothing()),
    ]
    found = []
    for name, change, context in rows:
        with context:
            found.append([name, *agreeing(folder, change)])
    print(markdown_table(["", "C", "D"], found, left=1), end="")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
