"""The cache of slices is made again when what it was made of changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pancseg.phantom import Phantom
from pancseg.scans.arrays import image_like, voxel_array
from pancseg.scans.writing import write_scan
from pancseg.segmentation.preprocess import Preprocessing
from pancseg.training.data.cache import build_cache
from pancseg.training.data.pairs import TrainingPair


def test_other_names_beside_a_mask_are_another_region(tmp_path: Path, phantom: Phantom) -> None:
    """The names say which labels are the pancreas."""
    labels = voxel_array(phantom.mask).astype(np.uint8)
    labels[:, :8] = 3
    image, mask, names = (tmp_path / name for name in ("ct.nii.gz", "m.nii.gz", "m.json"))
    write_scan(phantom.image, image)
    write_scan(image_like(labels, phantom.mask), mask)
    pair = TrainingPair("P1", "P1", image, mask)
    found = []
    for pancreas, other in ((1, 3), (3, 1)):
        names.write_text(json.dumps({str(pancreas): "pancreas", str(other): "spleen"}))
        (scan,) = build_cache(
            [pair], tmp_path / "cache", Preprocessing(window_hu=(-100, 240), size=32)
        )
        found.append(int(scan.voxels[:, 1].sum()))
    assert found[0] != found[1]
    assert min(found) > 0
