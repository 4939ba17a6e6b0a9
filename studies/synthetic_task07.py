"""Write synthetic patients as the Medical Segmentation Decathlon writes Task07.

``python studies/synthetic_task07.py FOLDER [PATIENTS]``: CTs of 512×512×92 voxels of 0.8×0.8×2.5 mm
with the labels 1 (pancreas) and 2 (cancer, in every second patient), to try a training on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pancseg import write_scan
from pancseg.phantom import make_phantom

SIZE, SPACING_MM = (512, 512, 92), (0.8, 0.8, 2.5)


def main(folder: Path, patients: int = 10) -> None:
    """Write ``dataset.json``, ``imagesTr`` and ``labelsTr``."""
    training = []
    for seed in range(1, patients + 1):
        made = make_phantom(seed, size=SIZE, spacing_mm=SPACING_MM, tumour=seed % 2 == 0)
        entry = {}
        for key, part, image in (
            ("image", "imagesTr", made.image),
            ("label", "labelsTr", made.mask),
        ):
            (folder / part).mkdir(parents=True, exist_ok=True)
            name = f"pancreas_{seed:03}.nii.gz"
            write_scan(image, folder / part / name)
            entry[key] = f"./{part}/{name}"
        training.append(entry)
    labels = {"0": "background", "1": "pancreas", "2": "cancer"}
    about = {
        "name": "synthetic patients",
        "licence": "none",
        "labels": labels,
        "training": training,
    }
    (folder / "dataset.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
