"""Patients that fail in every way: small scans and masks, of which each leads to a reason code.

``RECIPES`` has one way a code; ``write_patients`` writes a manifest of as many patients as wanted.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from dicom_series import write_series
from numpy.typing import NDArray

import pancseg
from pancseg.phantom import make_phantom

Volume = NDArray[Any]
Cells = dict[str, str]

SIZE = (14, 36, 40)
"""(z, y, x) voxels of an ordinary scan."""
SPACING_MM = (3.0, 4.0, 4.0)
"""(z, y, x)."""
SETTINGS = """\
imageType: {Original: {}, LoG: {sigma: [4.0], binWidth: 10}}
featureClass: {shape: [], firstorder: [Mean, Median], glcm: [Contrast, Correlation]}
setting: {resegmentRange: [-100, 1000000], binWidth: 20}
pancseg:
  mode: ibsi
  thick_slices: {above_mm: 50, spacing_mm: [1, 1, 1]}
  quality:
    slice_mm: {warn_above: 5, fail_above: 60}
    uncertainty_dice: {fail_below: 0, warn_below: 1}
    regions: {pancreas: {median_hu: {fail_below: 0}}}
"""
"""No resampling, but of slices more than 50 mm apart; drawn masks fail below 0 HU."""
OUT = "out"
_SEED_OF_TWINS = 10**6
MANIFEST = ("patient_id", "image", "mask", "mask_label", "roi", "series_uid")


class Patient:
    """An ordinary patient: a body of soft tissue in air, and in it a pancreas of 95 HU.

    Attributes:
        scan: (z, y, x) HU.
        mask: (z, y, x) label map.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        z, y, x = (np.arange(n) - (n - 1) / 2 for n in SIZE)
        noise = self._rng.normal(0, 8, SIZE)
        body = (y[:, None] / 16) ** 2 + (x / 18) ** 2 < 1
        self.mask = self.ball((z[:, None, None] * 3, y[:, None] * 4, x * 4), (16, 20, 32))
        self.scan = np.where(body, 50 + noise, -1000 + noise / 4)
        self.scan[self.mask > 0] += 45
        self.scan = self.scan.astype(np.int32)
        self.spacing_mm = SPACING_MM

    def ball(self, grid_mm: Sequence[Volume], radii_mm: Sequence[float]) -> NDArray[np.uint8]:
        """Return an ellipsoid whose sides differ a little from patient to patient."""
        radii = np.asarray(radii_mm) * self._rng.uniform(0.95, 1.05, 3)
        inside = sum((axis / r) ** 2 for axis, r in zip(grid_mm, radii, strict=True)) < 1
        return np.asarray(inside).astype(np.uint8)

    def image_of(self, voxels: Volume) -> sitk.Image:
        """Return voxels as an image with the patient's spacing."""
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing(self.spacing_mm[::-1])
        return image


class Folder(NamedTuple):
    """Where a patient's files go, and under which name."""

    path: Path
    name: str
    seed: int

    def file(self, kind: str) -> Path:
        return self.path / f"{self.name}_{kind}.nii.gz"

    def write(self, patient: Patient, **cells: str) -> Cells:
        """Write scan and mask, and return the manifest's cells."""
        sitk.WriteImage(patient.image_of(patient.scan), self.file("ct"))
        sitk.WriteImage(patient.image_of(patient.mask), self.file("mask"))
        return self.cells(mask=self.file("mask").name) | cells

    def cells(self, **cells: str) -> Cells:
        return {"patient_id": self.name, "image": self.file("ct").name} | cells


Recipe = Callable[[Folder], Cells]


def ordinary(to: Folder) -> Cells:
    return to.write(Patient(to.seed))


def _changed(change: Callable[[Patient], object], **cells: str) -> Recipe:
    """Return how to write a patient after a change of scan or mask."""

    def write(to: Folder) -> Cells:
        patient = Patient(to.seed)
        change(patient)
        return to.write(patient, **cells)

    return write


def _of_bytes(content: bytes) -> Recipe:
    def write(to: Folder) -> Cells:
        to.file("ct").write_bytes(content)
        return to.cells()

    return write


def _as_image(make: Callable[[Patient], sitk.Image]) -> Recipe:
    """Return how to write a patient whose file holds something else than a volume."""

    def write(to: Folder) -> Cells:
        cells = ordinary(to)
        sitk.WriteImage(make(Patient(to.seed)), to.file("ct"))
        return cells

    return write


def _dicom(
    positions_mm: Sequence[float] = (0, 4, 8, 12, 16, 20),
    series: int = 1,
    series_uid: str = "",
    **how: Any,
) -> Recipe:
    """Return how to write a patient as DICOM, with a mask if the series can be read."""

    def write(to: Folder) -> Cells:
        folder = to.path / f"{to.name}_series"
        for number in range(series):
            write_series(folder, list(positions_mm), f"1.2.{to.seed}.{number + 100}",
                         change=_textured(to.seed), **how)  # fmt: skip
        cells = {"patient_id": to.name, "image": folder.name, "series_uid": series_uid}
        try:
            scan = pancseg.read_scan(folder)
        except pancseg.UnusableCase:
            return cells
        inside = np.zeros(sitk.GetArrayViewFromImage(scan).shape, np.uint8)
        inside[1:-1, 1:-1, 1:-1] = 1
        mask = sitk.GetImageFromArray(inside)
        mask.CopyInformation(scan)
        sitk.WriteImage(mask, to.file("mask"))
        return cells | {"mask": to.file("mask").name}

    return write


def _textured(seed: int) -> Callable[[Any, int], object]:
    """Return what gives a slice a soft tissue with noise, in a frame of air."""

    def change(slice_: Any, number: int) -> None:
        pixels = np.random.default_rng([seed, number]).normal(1024 + 90, 6, (6, 5))
        pixels[0] = 0
        slice_.PixelData = pixels.astype(np.int16).tobytes()

    return change


def _other_grid(to: Folder) -> Cells:
    cells = ordinary(to)
    mask = sitk.ReadImage(to.file("mask"))
    mask.SetSpacing((5.0, 5.0, 3.0))
    sitk.WriteImage(mask, to.file("mask"))
    return cells


def _fractions(to: Folder) -> Cells:
    cells = ordinary(to)
    patient = Patient(to.seed)
    sitk.WriteImage(patient.image_of(patient.mask * np.float32(0.7)), to.file("mask"))
    return cells


def _twin(to: Folder) -> Cells:
    return to.write(Patient(_SEED_OF_TWINS))


def _foreign_mask(to: Folder) -> Cells:
    """Write the mask where the network's would be written."""
    cells = ordinary(to)
    masks = to.path / OUT / "masks"
    masks.mkdir(parents=True, exist_ok=True)
    shutil.move(to.file("mask"), masks / f"{to.name}.nii.gz")
    return cells | {"mask": ""}


def _by_network(to: Folder) -> Cells:
    """Write a phantom on which the network of the phantoms finds a pancreas."""
    phantom = make_phantom(to.seed, size=(64, 64, 8), spacing_mm=(5.4, 5.4, 20.0))
    pancseg.write_scan(phantom.image, to.file("ct"))
    return to.cells()


def _air(to: Folder) -> Cells:
    patient = Patient(to.seed)
    patient.scan[:] = np.where(patient.scan > -500, 300, -1000)
    to.write(patient)
    return to.cells()


def _named(word: str) -> Recipe:
    """Return how to write an ordinary patient whose file makes the worker end badly."""

    def write(to: Folder) -> Cells:
        cells = ordinary(to)
        path = to.path / f"{word}_{to.name}.nii.gz"
        shutil.move(to.file("ct"), path)
        return cells | {"image": path.name}

    return write


def _two_boxes(p: Patient) -> None:
    p.mask[:, :, 18:22] = 0


def _flat(p: Patient) -> None:
    p.mask[:7] = p.mask[8:] = 0


def _coarse(p: Patient) -> None:
    p.spacing_mm = (3.0, 8.0, 8.0)


def _far_apart(p: Patient) -> None:
    p.spacing_mm = (55.0, 40.0, 40.0)


def _set(voxels: str, where: Any, value: float) -> Callable[[Patient], None]:
    def change(p: Patient) -> None:
        getattr(p, voxels)[where] = value

    return change


def _tissue(hu: float, share: float = 1.0) -> Callable[[Patient], None]:
    """Return what gives a share of the mask's voxels other HU."""

    def change(p: Patient) -> None:
        inside = np.argwhere(p.mask > 0)
        some = inside[: round(share * len(inside))]
        p.scan[tuple(some.T)] = hu + np.arange(len(some)) % 7

    return change


def _empty(p: Patient) -> None:
    p.mask[:] = 0


def _two_labels(p: Patient) -> None:
    p.mask[:7] *= 3
    p.mask[7:] *= 5


def _one_voxel(p: Patient) -> None:
    p.mask[:] = 0
    p.mask[7, 18, 20] = 1


def _half(p: Patient) -> None:
    p.mask[:7] = 0
    p.mask, p.scan = p.mask[7:], p.scan[7:]


def _large(p: Patient) -> None:
    p.spacing_mm = (4.9, 8.0, 8.0)


def _shifted(p: Patient) -> None:
    p.scan += 1024


def _four_dimensional(p: Patient) -> sitk.Image:
    return sitk.JoinSeries([p.image_of(p.scan)] * 2)


def _vectors(p: Patient) -> sitk.Image:
    return sitk.Compose([p.image_of(p.scan)] * 2)


def _one_slice(p: Patient) -> sitk.Image:
    return p.image_of(p.scan[:1])


def _outliers(p: Patient) -> None:
    p.scan[tuple(np.argwhere(p.mask > 0)[0])] = 900_000


def _at_the_edge(p: Patient) -> None:
    """Crop the scan to a flat mask."""
    _flat(p)
    _, y, x = np.nonzero(p.mask)
    box = slice(6, 9), slice(y.min(), y.max() + 1), slice(x.min(), x.max() + 1)
    p.scan, p.mask = p.scan[box], p.mask[box]
    p.scan[0, 0, 0] = -1000  # there is air


RECIPES: dict[str, Recipe] = {
    "": ordinary,
    "unreadable": _of_bytes(b"no scan"),
    "not_3d": _as_image(_four_dimensional),
    "not_scalar": _as_image(_vectors),
    "one_slice": _as_image(_one_slice),
    "several_series": _dicom(series=2),
    "no_series": _dicom(series_uid="9.9.9"),
    "uneven_slices": _dicom((0, 4, 8, 16, 20)),
    "tilted": _dicom(shear=0.5),
    "not_hu": _changed(_shifted),
    "thick_slices": _changed(lambda p: setattr(p, "spacing_mm", (5.5, 4.0, 4.0))),
    "phase": _dicom(SeriesDescription="Abdomen arterial"),
    "duplicate": _twin,
    "no_mask": lambda to: ordinary(to) | {"mask": "", "roi": "tumour"},
    "no_pancreas": _air,
    "mask_exists": _foreign_mask,
    "empty_mask": _changed(_empty),
    "no_label": _changed(lambda p: None, mask_label="7"),
    "not_labels": _fractions,
    "several_labels": _changed(_two_labels),
    "empty_region": _changed(_one_voxel, mask_label="ring(1;0.5mm)", roi="rim"),
    "geometry": _other_grid,
    "volume": _changed(_large),
    "fragmented": _changed(_two_boxes),
    "truncated": _changed(_half),
    "gap": _changed(_set("mask", 7, 0)),
    "hu_range": _changed(_tissue(-20)),
    "fat": _changed(_tissue(-90, 0.45)),
    "dense": _changed(_tissue(1500, 0.05)),
    "uncertain": _by_network,
    "resegmented": _changed(_tissue(-300, 0.3)),
    "too_small": _changed(_one_voxel),
    "fine_grid": _changed(_far_apart),
    "no_texture": _changed(_flat),
    "many_levels": _changed(_outliers),
    "narrow_filter": _changed(_coarse),
    "memory": _named("memoryerror"),
    "KeyError": _named("beside"),
    "timeout": _named("hang"),
    "killed": _named("kernel"),
    "crashed": _named("segfault"),
}
"""Code → how to write a patient whose row has it, beside others; empty: a row without any."""


RECIPES_2D: dict[str, Recipe] = {
    "": _changed(_flat),
    "not_flat": ordinary,
    "wide_filter": _changed(_at_the_edge),
}
"""The same for ``SETTINGS_2D``."""
SETTINGS_2D = """\
imageType: {Original: {}, LoG: {sigma: [16.0]}}
featureClass: {shape2D: [], firstorder: [Mean], glcm: [Contrast]}
setting: {binWidth: 25, force2D: true}
pancseg:
  quality:
    slice_mm: {warn_above: 5, fail_above: 60}
    volume_ml: {fail_below: 0, warn_below: 0}
    empty_slices: {warn_above: 100}
"""
"""Shapes of single slices, which the mode pyradiomics alone has."""


def write_patients(
    folder: Path, codes: Sequence[str], recipes: Mapping[str, Recipe] = RECIPES
) -> Path:
    """Write a patient per code, and return the manifest.

    Args:
        folder: made if need be.
        codes: keys of the recipes; a code may occur many times.
        recipes: ``RECIPES`` or ``RECIPES_2D``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.yaml").write_text(SETTINGS if recipes is RECIPES else SETTINGS_2D)
    manifest = folder / "cohort.csv"
    with manifest.open("w", newline="") as file:
        lines = csv.DictWriter(file, MANIFEST, restval="")
        lines.writeheader()
        for seed, code in enumerate(codes):
            lines.writerow(recipes[code](Folder(folder, f"{seed:04}-{code or 'good'}", seed)))
    return manifest
