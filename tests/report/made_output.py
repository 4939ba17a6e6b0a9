"""Output folders for the tests of the page: a real small run, and a large one that is made up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pancseg.pictures.row_pictures import SUFFIXES
from pancseg.processing.picture_names import PICTURES_FOLDER, mark_of
from pancseg.reasons import REASONS

HOSTILE = "<img src=x onerror=\"document.title='let in'\">&'</script><b>"
"""An id that would run a script if it were not escaped."""
FEATURES = ("original_shape_Sphericity", "original_firstorder_Median", "original_glcm_Contrast")
_STATUSES = {"fail": "fail", "warn": "warn", "error": "error", "warn or fail": "warn"}


def make_output(folder: Path, rows: int, *, picture: bytes = b"", first_id: str = "P0000") -> Path:
    """Write a table whose rows have every reason code in turn, with pictures if one is given."""
    rng = np.random.default_rng(1)
    codes = ["", *REASONS, "KeyError"]
    (folder / PICTURES_FOLDER).mkdir(parents=True)
    made = []
    for n in range(rows):
        code = codes[n % len(codes)]
        status = _STATUSES[REASONS[code].status] if code in REASONS else "error" if code else "pass"
        usable = status in ("pass", "warn")
        row = {
            "patient_id": f"P{n:04}" if n else first_id,
            "scan_id": "",
            "roi": "pancreas",
            "qc_status": status,
            "qc_reasons": code,
            "qc_mask_source": "monet_open",
            "qc_volume_ml": max(float(rng.normal(70, 20)), 12),
            "qc_median_hu": float(rng.normal(95, 15)),
            "qc_grid_mm": "2 2 2",
            "qc_slice_mm": 2.5,
            "qc_touches_edge": int(code == "truncated"),
            "qc_fat_share": 0.31249,
            "image_sha256": f"{n:064x}",
            "mask_sha256": f"{n + 7:064x}",
        }
        row |= {name: float(rng.normal()) if usable else np.nan for name in FEATURES}
        made.append(row)
        if picture and n:
            head, tail = picture[:2], picture[2:]
            comment = mark_of(row)
            marked = head + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + tail
            for suffix in SUFFIXES[:1]:
                (folder / PICTURES_FOLDER / f"{row['patient_id']}{suffix}").write_bytes(marked)
    pd.DataFrame(made).to_csv(folder / "features.csv", index=False)
    codebook = [
        {"name": name, "original_name": name, "unit": "none", "family": name.split("_")[1],
         "ibsi_status": "IBSI"}
        for name in FEATURES
    ]  # fmt: skip
    pd.DataFrame(codebook).to_csv(folder / "codebook.csv", index=False)
    (folder / "provenance.json").write_text(json.dumps({"run": {"command": "run"}}))
    return folder
