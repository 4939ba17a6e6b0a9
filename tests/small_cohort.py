"""One small cohort for the tests of runs: synthetic patients, quick to read and to measure."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from pancseg import write_scan
from pancseg.phantom import make_phantom

NAMES = ("a", "b", "c", "d", "auto1", "auto2")
SETTINGS = """\
imageType: {Original: {}}
featureClass: {firstorder: [], shape: [], glcm: []}
setting: {binWidth: 25, label: 1}
pancseg: {quality: {slice_mm: {warn_above: 20, fail_above: 20}}}
"""


def make_cohort(folder: Path, names: tuple[str, ...]) -> Path:
    """Write a scan and a mask per name, a manifest and quick settings; return the manifest.

    Names that begin with ``auto`` have no mask of their own.
    """
    (folder / "scans").mkdir(parents=True, exist_ok=True)
    rows = ["patient_id,image,mask"]
    for seed, name in enumerate(names):
        phantom = make_phantom(seed, size=(96, 96, 12), spacing_mm=(3.6, 3.6, 15.0))
        write_scan(phantom.image, folder / "scans" / f"{name}.nii.gz")
        mask = sitk.Cast(phantom.mask != 0, sitk.sitkUInt8)
        write_scan(mask, folder / "scans" / f"{name}_mask.nii.gz")
        own = "" if name.startswith("auto") else f"scans/{name}_mask.nii.gz"
        rows.append(f"{name},scans/{name}.nii.gz,{own}")
    (folder / "quick.yaml").write_text(SETTINGS)
    manifest = folder / "cohort.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest
