"""How well converters turn the contours of an RTSTRUCT into voxels, on solids of known volume.

``PYTHONPATH=tests python studies/rtstruct_converters.py PYTHON``: PYTHON is the interpreter of an
environment with dcmrtstruct2nii, rt-utils and ``pydicom<3``; plastimatch must be on the path.
Prints Markdown: Dice with the voxels whose centres are in the solid, and the error of the volume.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from rtstruct_file import DrawnOn, Points, write_rtstruct

from pancseg import UnusableCase, read_scan
from pancseg.scans.arrays import voxel_array
from pancseg.scans.masks import read_mask
from pancseg.segmentation.overlap import dice
from pancseg.tables.markdown_table import markdown_table

# square slices: rt-utils takes columns for rows
SIZE, SPACING_MM = (96, 96, 36), (0.8, 0.8, 2.5)
CENTRE = np.array([38.13, 36.37, 44.02])
TURN = np.linspace(0, 2 * np.pi, 360, endpoint=False)
NAME = "pancreas"
ORACLES = """
import sys
from pathlib import Path
import numpy, SimpleITK as sitk
from dcmrtstruct2nii import dcmrtstruct2nii
from rt_utils import RTStructBuilder
folder = Path(sys.argv[1])
ct = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder / "ct")))
for file in sorted(folder.glob("*.dcm")):
    dcmrtstruct2nii(str(file), str(folder / "ct"), str(folder / f"{file.stem}.d2n"),
                    convert_original_dicom=False)
    loaded = RTStructBuilder.create_from(str(folder / "ct"), str(file))
    mask = loaded.get_roi_mask_by_name("pancreas").transpose(2, 0, 1)
    image = sitk.GetImageFromArray(mask.astype("uint8"))
    image.CopyInformation(ct)
    sitk.WriteImage(image, str(folder / f"{file.stem}.rtutils.nii.gz"))
"""


class Solid(NamedTuple):
    """A solid, and how it is drawn.

    Attributes:
        title: what the table calls it.
        inside: points ``(..., 3)`` relative to its centre in mm → whether they are inside.
        loops: height above its centre in mm → the contours there, ``(n, 2)``.
        volume_ml: its volume.
        planes: where its contours are, in slices.
    """

    title: str
    inside: Callable[[Points], NDArray[np.bool_]]
    loops: Callable[[float], list[Points]]
    volume_ml: float
    planes: NDArray[np.float64] = np.arange(SIZE[2], dtype=float)


def circle(radius: float) -> Points:
    """Return a circle around the origin."""
    return radius * np.stack([np.cos(TURN), np.sin(TURN)], axis=1)


def sphere(title: str, radius: float, planes: NDArray[np.float64] | None = None) -> Solid:
    """Return a sphere."""

    def loops(height: float) -> list[Points]:
        square = radius**2 - height**2
        return [circle(square**0.5)] if square > 0 else []

    volume_ml = 4 / 3 * np.pi * radius**3 / 1000
    made = Solid(title, lambda p: (p**2).sum(-1) <= radius**2, loops, volume_ml)
    return made if planes is None else made._replace(planes=planes)


def torus(title: str, ring: float, tube: float, *, keyhole: bool) -> Solid:
    """Return a torus around the long axis; two contours a slice, or one that is a keyhole."""

    def inside(points: Points) -> NDArray[np.bool_]:
        return (np.hypot(points[..., 0], points[..., 1]) - ring) ** 2 + points[
            ..., 2
        ] ** 2 <= tube**2

    def loops(height: float) -> list[Points]:
        if abs(height) >= tube:
            return []
        half = (tube**2 - height**2) ** 0.5
        outer, inner = circle(ring + half), circle(ring - half)
        if not keyhole:
            return [outer, inner]
        return [np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])]

    return Solid(title, inside, loops, 2 * np.pi**2 * ring * tube**2 / 1000)


def upright_torus(title: str, ring: float, tube: float) -> Solid:
    """Return a torus that stands upright: up to two contours a slice, side by side."""

    def inside(points: Points) -> NDArray[np.bool_]:
        return (np.hypot(points[..., 0], points[..., 2]) - ring) ** 2 + points[
            ..., 1
        ] ** 2 <= tube**2

    def loops(height: float) -> list[Points]:
        depth = tube * np.sin(np.linspace(-np.pi / 2, np.pi / 2, 181))
        half = np.sqrt(tube**2 - depth**2)
        far, near = (ring + half) ** 2 - height**2, (ring - half) ** 2 - height**2
        there = far > 0
        if not there.any():
            return []
        depth, far, near = depth[there], np.sqrt(far[there]), np.sqrt(np.maximum(near[there], 0))
        right = np.concatenate([np.stack([far, depth], 1), np.stack([near[::-1], depth[::-1]], 1)])
        return [right, right * [-1, 1]]

    return Solid(title, inside, loops, 2 * np.pi**2 * ring * tube**2 / 1000)


def write_ct(folder: Path, direction: NDArray[np.float64]) -> DrawnOn:
    """Write the slices of a CT, and return their UIDs."""
    folder.mkdir(parents=True)
    series, frame, study = (generate_uid() for _ in range(3))
    images = []
    for number in range(SIZE[2]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = (
            CTImageStorage,
            ExplicitVRLittleEndian,
        )
        meta.MediaStorageSOPInstanceUID = generate_uid()
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.PatientID, ds.PatientName, ds.StudyDate, ds.StudyTime = "1", "A^B", "20260101", "000000"
        ds.PatientBirthDate = ds.PatientSex = ds.StudyID = ds.AccessionNumber = ""
        ds.Modality, ds.InstanceNumber, ds.SeriesNumber = "CT", number + 1, 1
        ds.ImagePositionPatient = [f"{v:.10g}" for v in direction[:, 2] * SPACING_MM[2] * number]
        ds.ImageOrientationPatient = [f"{v:.10g}" for v in direction[:, :2].T.ravel()]
        ds.PixelSpacing, ds.SliceThickness = list(SPACING_MM[:2]), SPACING_MM[2]
        ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = (
            SIZE[1],
            SIZE[0],
            16,
            16,
            15,
        )
        ds.SamplesPerPixel, ds.PixelRepresentation = 1, 1
        ds.PhotometricInterpretation, ds.RescaleSlope, ds.RescaleIntercept = "MONOCHROME2", 1, -1024
        ds.PixelData = np.full(SIZE[1::-1], 1064, np.int16).tobytes()
        ds.save_as(folder / f"{number:03}.dcm", enforce_file_format=True)
        images.append(ds.SOPInstanceUID)
    return DrawnOn(series, frame, images)


def draw(file: Path, solid: Solid, direction: NDArray[np.float64], drawn: DrawnOn) -> None:
    """Write a solid's contours, each with the slice that it is nearest to."""
    contours, slices = [], []
    for plane in solid.planes:
        height = plane * SPACING_MM[2] - CENTRE[2]
        for loop in solid.loops(height):
            at = np.column_stack([loop + CENTRE[:2], np.full(len(loop), plane * SPACING_MM[2])])
            contours.append((at @ direction.T).round(4))
            slices.append(int(np.floor(plane + 0.5)))

    def name_slices(ds: FileDataset) -> None:
        for contour, number in zip(ds.ROIContourSequence[0].ContourSequence, slices, strict=True):
            image = Dataset()
            image.ReferencedSOPClassUID = CTImageStorage
            image.ReferencedSOPInstanceUID = drawn.image_uids[number]
            contour.ContourImageSequence = Sequence([image])
        for images in ds.ReferencedFrameOfReferenceSequence:
            series = images.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
            for image in series.ContourImageSequence:
                image.ReferencedSOPClassUID = CTImageStorage
        first = pydicom.dcmread(next(file.parent.joinpath("ct").iterdir()), stop_before_pixels=True)
        ds.StudyInstanceUID, ds.PatientID = first.StudyInstanceUID, first.PatientID

    write_rtstruct(file, {NAME: contours}, drawn, change=name_slices)


def convert(folder: Path, oracle: str) -> None:
    """Let the other converters turn the contours of all files into masks."""
    for file in sorted(folder.glob("*.dcm")):
        for name, options in (("or", []), ("xor", ["--xor-contours"])):
            out = folder / f"{file.stem}.{name}"
            call("plastimatch", "convert", "--input", file, "--referenced-ct", folder / "ct",
                 "--output-prefix", out, "--prefix-format", "nrrd", *options)  # fmt: skip
    call(oracle, "-c", ORACLES, folder)


def call(*command: str | Path) -> None:
    """Run another program, and show the end of what it says if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-500:], file=sys.stderr)


def masks(folder: Path, stem: str, scan: sitk.Image) -> dict[str, NDArray[np.bool_] | None]:
    """Return each converter's mask; None where it made none."""
    files = {
        "plastimatch": folder / f"{stem}.or" / f"{NAME}.nrrd",
        "plastimatch --xor-contours": folder / f"{stem}.xor" / f"{NAME}.nrrd",
        "dcmrtstruct2nii": folder / f"{stem}.d2n" / f"mask_{NAME}.nii.gz",
        "rt-utils": folder / f"{stem}.rtutils.nii.gz",
    }
    found: dict[str, NDArray[np.bool_] | None] = {}
    try:
        found["pancseg"] = voxel_array(read_mask(folder / f"{stem}.dcm", scan)) > 0
    except UnusableCase as refused:
        print(f"pancseg, {stem}: {refused.code}: {refused.fact}", file=sys.stderr)
        found["pancseg"] = None
    for name, file in files.items():
        found[name] = None
        if file.is_file():
            nearest = sitk.Resample(
                sitk.ReadImage(str(file)), scan, sitk.Transform(), sitk.sitkNearestNeighbor
            )
            found[name] = voxel_array(nearest) > 0
    return found


def rows_of(folder: Path, solids: list[Solid], direction: NDArray[np.float64]) -> list[list[str]]:
    """Return a row for each solid, of which the files are in a folder."""
    scan = read_scan(folder / "ct")
    axes = np.meshgrid(*(np.arange(n) * s for n, s in zip(SIZE, SPACING_MM, strict=True)))
    points = np.stack([axis.transpose(2, 0, 1) for axis in axes], axis=-1) - CENTRE
    rows = []
    for number, solid in enumerate(solids):
        truth, cells = solid.inside(points), []
        for mask in masks(folder, str(number), scan).values():
            if mask is None:
                cells.append("refused")
                continue
            volume_ml = mask.sum() * np.prod(SPACING_MM) / 1000
            error = 100 * (volume_ml / solid.volume_ml - 1)
            cells.append(f"{dice(mask, truth):.3f}, {error:+.1f} %")
        centres = 100 * (truth.sum() * np.prod(SPACING_MM) / 1000 / solid.volume_ml - 1)
        rows.append([solid.title, f"{solid.volume_ml:.2f}", f"{centres:+.1f} %", *cells])
    return rows


def main() -> None:
    """Print the table."""
    every = np.arange(SIZE[2], dtype=float)
    upright = [
        sphere("sphere, 20 mm", 20),
        sphere("sphere, 4 mm", 4),
        torus("torus, inner and outer contours", 20, 8, keyhole=False),
        torus("torus, keyhole contours", 20, 8, keyhole=True),
        upright_torus("torus upright, two contours a slice", 18, 7),
        sphere("sphere, contours 0.3 slices off", 20, every[:-1] + 0.3),
        sphere("sphere, contours 0.5 slices off", 20, every[:-1] + 0.5),
        sphere("sphere, contours every 0.4 slices", 20, np.arange(0, SIZE[2] - 1, 0.4)),
        sphere("sphere, contours on every second slice", 20, every[::2]),
    ]
    oblique = [
        sphere("sphere, 20 mm, oblique scan", 20),
        torus("torus, keyhole contours, oblique scan", 20, 8, keyhole=True),
    ]
    angle = np.radians(10)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    rows = []
    for solids, direction in ((upright, np.eye(3)), (oblique, turn)):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            drawn = write_ct(folder / "ct", direction)
            for number, solid in enumerate(solids):
                draw(folder / f"{number}.dcm", solid, direction, drawn)
            convert(folder, sys.argv[1])
            rows += rows_of(folder, solids, direction)
    titles = ["solid", "mL", "true voxels", "pancseg", "plastimatch", "plastimatch, XOR"]
    print(markdown_table([*titles, "dcmrtstruct2nii", "rt-utils"], rows))


if __name__ == "__main__":
    main()
