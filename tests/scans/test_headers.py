"""What headers say about lengths, directions and values is believed, or refused with a reason."""

from __future__ import annotations

import bz2
import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from pancseg import UnusableCase, judge_scan, preview_scan, read_scan, write_scan
from pancseg.scans.arrays import label_array, voxel_array
from pancseg.scans.conversion import as_scan
from pancseg.scans.geometry import (
    grid_difference_mm,
    on_grid_of,
    orient,
    orientation_problem,
    require_orientation,
)
from pancseg.scans.reading import READERS

SIZE = (6, 7, 8)
VOXELS = np.arange(6 * 7 * 8, dtype="<i2").reshape(8, 7, 6)
DIRECTIONS = "space directions: (0.8,0,0) (0,0.8,0) (0,0,2.5)\n"
IN_LPS = f"space: left-posterior-superior\n{DIRECTIONS}space origin: (10,20,-30)\n"
SPACING = "ElementSpacing = 0.8 0.8 2.5\n"
IDENTITY = f"{SPACING}TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 10 20 -30\n"


def nrrd(path: Path, geometry: str, what: str = "type: short\nencoding: raw") -> Path:
    sizes = "" if "sizes" in geometry else "dimension: 3\nsizes: 6 7 8\n"
    header = f"NRRD0005\n{what}\n{sizes}endian: little\n{geometry}\n"
    path.write_bytes(header.encode("latin-1") + VOXELS.tobytes())
    return path


def meta(path: Path, geometry: str, kind: str = "MET_SHORT") -> Path:
    header = f"ObjectType = Image\nNDims = 3\nDimSize = 6 7 8\nElementType = {kind}\n{geometry}"
    path.write_bytes(f"{header}ElementDataFile = LOCAL\n".encode() + VOXELS.tobytes())
    return path


def nifti(
    path: Path,
    sform: NDArray[Any] | None = None,
    qform: NDArray[Any] | None = None,
    kind: Any = nibabel.Nifti1Image,
) -> Path:
    image = kind(VOXELS.T, np.diag([0.8, 0.8, 2.5, 1]))
    image.set_sform(sform, code=0 if sform is None else 1)
    image.set_qform(qform, code=0 if qform is None else 1)
    nibabel.save(image, path)
    return path


def refusal(path: Path) -> UnusableCase:
    with pytest.raises(UnusableCase) as caught:
        read_scan(path)
    assert "\n" not in caught.value.fact
    return caught.value


# -- units of length ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "mm"),
    [
        ('"mm" "mm" "mm"', 1), ('"cm" "cm" "cm"', 10), ("cm cm cm", 10), ('"m" "m" "m"', 1000),
        ('"um" "um" "um"', 1e-3), ('"µm" "µm" "µm"', 1e-3), ('"Âµm" "Âµm" "Âµm"', 1e-3),
        ('"Millimeters" "millimetre" "MM"', 1), ('"microns" "micron" "micrometer"', 1e-3),
        ('"" "" ""', 1), ('"mm" "mm" ""', 1), ("mm", 1), ('"???" "???" "???"', 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["space units", "units"])
def test_units_of_an_nrrd_are_honoured(field: str, text: str, mm: float, tmp_path: Path) -> None:
    plain = read_scan(nrrd(tmp_path / "a.nrrd", IN_LPS))
    scaled = read_scan(nrrd(tmp_path / "b.nrrd", f"{IN_LPS}{field}: {text}\n"))
    assert scaled.GetSpacing() == pytest.approx([0.8 * mm, 0.8 * mm, 2.5 * mm], rel=1e-12)
    assert scaled.GetOrigin() == pytest.approx([10 * mm, 20 * mm, -30 * mm], rel=1e-12)
    assert scaled.GetDirection() == plain.GetDirection()


def test_units_along_the_axes_of_an_nrrd_may_differ(tmp_path: Path) -> None:
    geometry = 'spacings: 0.08 0.8 2500\nunits: "cm" "mm" "um"\n'
    assert read_scan(nrrd(tmp_path / "a.nrrd", geometry)).GetSpacing() == pytest.approx(
        (0.8, 0.8, 2.5)
    )


@pytest.mark.parametrize(
    ("text", "mm"), [("mm", 1), ("cm", 10), ("um", 1e-3), ("?", 1), ("CM", 10)]
)
def test_units_of_a_metaimage_are_honoured(text: str, mm: float, tmp_path: Path) -> None:
    scan = read_scan(meta(tmp_path / "a.mha", f"{IDENTITY}DistanceUnits = {text}\n"))
    assert scan.GetSpacing() == pytest.approx([0.8 * mm, 0.8 * mm, 2.5 * mm], rel=1e-12)
    assert scan.GetOrigin() == pytest.approx([10 * mm, 20 * mm, -30 * mm], rel=1e-12)


@pytest.mark.parametrize("forms", ["sform", "qform"])
@pytest.mark.parametrize(("unit", "share"), [("meter", 1e-3), ("micron", 1e3), ("unknown", 1)])
def test_units_of_a_nifti_are_honoured(unit: str, share: float, forms: str, tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", **{forms: np.diag([0.8 * share, 0.8 * share, 2.5 * share, 1])})
    content = bytearray(path.read_bytes())
    content[123] = {"meter": 1, "micron": 3, "unknown": 0}[unit]
    struct.pack_into("<3f", content, 80, 0.8 * share, 0.8 * share, 2.5 * share)
    path.write_bytes(content)
    assert read_scan(path).GetSpacing() == pytest.approx((0.8, 0.8, 2.5))


@pytest.mark.parametrize(
    ("make", "geometry", "code"),
    [
        (nrrd, f'{IN_LPS}space units: "Doe" "Doe" "Doe"\n', "geometry"),
        (nrrd, f'{IN_LPS}space units: "cm" "cm" "cm"\nunits: "mm" "mm" "mm"\n', "geometry"),
        (nrrd, f'{IN_LPS}space units: "cm" "cm"\n', "geometry"),
        (nrrd, f'{IN_LPS}space units: "cm\n', "geometry"),
        (nrrd, f'{IN_LPS}units: "cm" "cm" ""\n', "geometry"),
        (nrrd, f"{IN_LPS}spacings: 1 1 1\n", "geometry"),
        (meta, f"{IDENTITY}DistanceUnits = Doe\n", "geometry"),
        (meta, f"{IDENTITY}ElementToIntensityFunctionSlope = 2\n", "not_hu"),
        (meta, f"{IDENTITY}ElementToIntensityFunctionOffset = -1024\n", "not_hu"),
    ],
)
def test_what_is_not_understood_is_refused(
    make: Callable[[Path, str], Path], geometry: str, code: str, tmp_path: Path
) -> None:
    error = refusal(make(tmp_path / ("a.nrrd" if make is nrrd else "a.mha"), geometry))
    assert error.code == code
    assert "Doe" not in error.fact


# -- orientation --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (1, 1, 1)), ("LPS", (1, 1, 1)),
        ("left posterior superior", (1, 1, 1)), ("lps", (1, 1, 1)),
        ("right-anterior-superior", (-1, -1, 1)), ("RAS", (-1, -1, 1)),
        ("left-anterior-superior", (1, -1, 1)), ("LAS", (1, -1, 1)),
        ("left-posterior-superior-time", (1, 1, 1)),
    ],
)  # fmt: skip
def test_the_spaces_of_an_nrrd_are_turned_to_lps(
    space: str, signs: tuple[int, ...], tmp_path: Path
) -> None:
    geometry = IN_LPS.replace("left-posterior-superior", space)
    frame = "measurement frame: (0,1,0) (1,0,0) (0,0,1)\n"  # says nothing about positions
    scan = read_scan(nrrd(tmp_path / "a.nrrd", geometry + frame))
    assert np.diag(np.reshape(scan.GetDirection(), (3, 3))).tolist() == list(signs)
    assert scan.GetOrigin() == tuple(np.multiply(signs, (10, 20, -30)))
    assert orientation_problem(scan) == ""


def test_an_axis_without_direction_behind_the_others_is_left_out(tmp_path: Path) -> None:
    geometry = IN_LPS.replace("(0,0,2.5)", "(0,0,2.5) none")
    path = nrrd(tmp_path / "a.nrrd", f"dimension: 4\nsizes: 6 7 8 1\n{geometry}")
    assert read_scan(path).GetSpacing() == (0.8, 0.8, 2.5)


def _analyze(folder: Path) -> nibabel.AnalyzeImage:
    nibabel.save(nibabel.AnalyzeImage(VOXELS.T, np.diag([0.8, 0.8, 2.5, 1])), folder / "a.img")
    found: nibabel.AnalyzeImage = nibabel.load(folder / "a.img")
    return found


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: nifti(folder / "a.nii"),
        lambda folder: nifti(folder / "a.nii.gz"),
        lambda folder: nifti(folder / "a.nii", kind=nibabel.Nifti2Image),
        lambda folder: nrrd(folder / "a.nrrd", "spacings: 0.8 0.8 2.5\n"),
        lambda folder: nrrd(folder / "a.nrrd", "space: LPS\nspacings: 0.8 0.8 2.5\n"),
        lambda folder: nrrd(folder / "a.nrrd", f"space dimension: 3\n{DIRECTIONS}"),
        lambda folder: nrrd(folder / "a.nrrd", f"space: scanner-xyz\n{DIRECTIONS}"),
        lambda folder: nrrd(folder / "a.nrrd", f"space: 3D-right-handed\n{DIRECTIONS}"),
        lambda folder: meta(folder / "a.mha", SPACING),
        lambda folder: nibabel.load(nifti(folder / "a.nii")),
        _analyze,
    ],
)
def test_a_header_without_orientation_is_measured_with_a_warning_and_not_segmented(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    scan = as_scan(make(tmp_path))
    assert scan.GetSpacing() == pytest.approx((0.8, 0.8, 2.5))
    first = judge_scan(scan).findings[0]
    assert (first.code, first.grade) == ("geometry", "warn")
    assert "sform_code" in first.fact
    for image in (scan, orient(scan, "RAS")):
        with pytest.raises(UnusableCase, match="sform_code") as caught:
            require_orientation(image)
        assert caught.value.code == "geometry"
    write_scan(scan, tmp_path / "written.nii.gz")
    assert not orientation_problem(read_scan(tmp_path / "written.nii.gz"))


def test_a_mask_that_lost_its_orientation_is_not_to_be_resampled(tmp_path: Path) -> None:
    scan = read_scan(nifti(tmp_path / "a.nii", sform=np.diag([0.8, 0.8, 2.5, 1])))
    mask = read_scan(nifti(tmp_path / "m.nii"))
    for pair, names in (((scan, mask), "mask .*that of the scan"), ((mask, scan), "scan .*mask")):
        with pytest.raises(UnusableCase, match=f"header of the {names}") as caught:
            on_grid_of(*pair)
        assert caught.value.code == "geometry"
        assert "resample" not in caught.value.fact


def test_a_header_with_orientation_is_no_reason_to_warn(tmp_path: Path) -> None:
    affine = np.diag([0.8, 0.8, 2.5, 1])
    for scan in (
        read_scan(nifti(tmp_path / "a.nii", sform=affine)),
        read_scan(nifti(tmp_path / "a.nii", qform=affine)),
        as_scan(nibabel.Nifti1Image(VOXELS.T, affine)),
        as_scan(VOXELS, spacing=(0.8, 0.8, 2.5)),
        read_scan(nrrd(tmp_path / "a.nrrd", IN_LPS)),
        read_scan(meta(tmp_path / "a.mha", IDENTITY)),
    ):
        require_orientation(scan)
        assert "geometry" not in [finding.code for finding in judge_scan(scan).findings]


# -- rounding -----------------------------------------------------------------------------------
def sheared(by: float) -> NDArray[np.float64]:
    affine = np.diag([0.8, 0.8, 2.5, 1.0])
    affine[0, 2] = 2.5 * by
    return affine


def in_every_format(affine: NDArray[Any], folder: Path) -> list[Any]:
    columns = " ".join(f"({x},{y},{z})" for x, y, z in affine[:3, :3].T)
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    rows = " ".join(str(value) for value in cosines.T.ravel())
    return [
        nifti(folder / "1.nii", sform=affine),
        nifti(folder / "1.nii.gz", sform=affine),
        nifti(folder / "2.nii", sform=affine, kind=nibabel.Nifti2Image),
        nrrd(folder / "a.nrrd", f"space: RAS\nspace directions: {columns}\n"),
        meta(folder / "a.mha", f"{SPACING}TransformMatrix = {rows}\n"),
        nibabel.Nifti1Image(VOXELS.T, affine),
    ]


@pytest.mark.parametrize("by", [1e-6, 1e-4, 5e-4, 2e-3, 5e-3])
def test_axes_off_right_angles_by_rounding_are_read(by: float, tmp_path: Path) -> None:
    """The corners move by less than a tenth of a voxel: 5e-3 of 17.5 mm is 0.09 mm, of 0.8 mm."""
    straight = as_scan(VOXELS, spacing=(0.8, 0.8, 2.5), direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1))
    for each in in_every_format(sheared(by), tmp_path):
        scan = as_scan(each)
        np.testing.assert_array_equal(voxel_array(scan), VOXELS)
        assert scan.GetSpacing() == pytest.approx((0.8, 0.8, 2.5), rel=1e-4)
        if not str(each).endswith("mha"):
            assert grid_difference_mm(scan, straight) < 0.08
        turn = np.reshape(scan.GetDirection(), (3, 3))
        assert np.abs(turn.T @ turn - np.eye(3)).max() < 2e-4
        write_scan(scan, tmp_path / "mask.nii.gz")  # as a mask is
        assert on_grid_of(scan, read_scan(tmp_path / "mask.nii.gz")).GetSize() == SIZE


@pytest.mark.parametrize("by", [0.02, 0.4])
def test_sheared_axes_are_refused_with_how_far_they_are_off(by: float, tmp_path: Path) -> None:
    for each in in_every_format(sheared(by), tmp_path):
        with pytest.raises(
            UnusableCase, match=r"sheared\): the corners are [\d.]+ mm off"
        ) as error:
            as_scan(each)
        assert error.value.code == "geometry"


@pytest.mark.parametrize(("moved_mm", "agrees"), [(0.01, True), (0.07, True), (0.1, False)])
def test_sform_and_qform_agree_to_a_tenth_of_a_voxel(
    moved_mm: float, agrees: bool, tmp_path: Path
) -> None:
    affine = np.diag([0.8, 0.8, 2.5, 1.0])
    moved = affine.copy()
    moved[0, 3] = moved_mm
    path = nifti(tmp_path / "a.nii", sform=affine, qform=moved)
    for volume in (path, nibabel.load(path)):
        if agrees:
            assert as_scan(volume).GetSize() == SIZE
        else:
            with pytest.raises(UnusableCase, match=r"corners .*0\.1 mm apart"):
                as_scan(volume)


def test_a_turn_between_sform_and_qform_counts_at_the_corners(tmp_path: Path) -> None:
    """By matrix entries it is small: 0.02 per voxel, but 0.14 mm at the other end."""
    affine = np.diag([0.8, 0.8, 2.5, 1.0])
    turned = affine.copy()
    turned[:2, :2] = 0.8 * np.array([[1, -0.025], [0.025, 1]])
    image = nibabel.load(nifti(tmp_path / "a.nii", sform=affine, qform=turned))
    with pytest.raises(UnusableCase, match="sform and qform disagree"):
        as_scan(image)


# -- packed, and other whole files --------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a.nii", gzip.compress),
        ("a.Nii.gz", gzip.compress),
        ("a.NII.GZ", gzip.compress),
        ("a.nii.gz", lambda content: gzip.compress(gzip.compress(content))),
        ("a.nii", lambda content: gzip.compress(gzip.compress(content))),
        ("a.nii.gz", lambda content: content),
        ("a.Nii", lambda content: content),
        ("a.nii.gz", lambda content: gzip.compress(content[:100]) + gzip.compress(content[100:])),
    ],
)
def test_a_nifti_is_read_however_it_is_packed_and_named(
    name: str, change: Callable[[bytes], bytes], block: sitk.Image, tmp_path: Path
) -> None:
    write_scan(block, tmp_path / "plain.nii")
    plain = read_scan(tmp_path / "plain.nii")
    (tmp_path / name).write_bytes(change((tmp_path / "plain.nii").read_bytes()))
    scan = read_scan(tmp_path / name)
    np.testing.assert_array_equal(voxel_array(scan), voxel_array(plain))
    assert scan.GetSpacing() == plain.GetSpacing()
    assert scan.GetOrigin() == pytest.approx(plain.GetOrigin(), abs=1e-5)
    assert scan.GetDirection() == pytest.approx(plain.GetDirection(), abs=1e-7)
    assert preview_scan(tmp_path / name) == preview_scan(tmp_path / "plain.nii")


@pytest.mark.parametrize("name", ["a.Nii.gz", "a.NII", "a.Nrrd", "a.Mha"])
def test_a_suffix_may_have_capitals(name: str, block: sitk.Image, tmp_path: Path) -> None:
    write_scan(block, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    np.testing.assert_array_equal(voxel_array(read_scan(tmp_path / name)), voxel_array(block))


@pytest.mark.parametrize(
    "dims",
    [
        (3, 6, 7, 8, 0, 0, 0, 0), (4, 6, 7, 8, 0, 0, 0, 0), (4, 6, 7, 8, 1, 0, 0, 0),
        (5, 6, 7, 8, 1, 1, 0, 0), (5, 6, 7, 8, 0, 0, 0, 0), (7, 6, 7, 8, 1, 1, 1, 1),
        (3, 6, 7, 8, -1, -1, 5, 9),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", "<>")
def test_axes_that_a_nifti_does_not_use_have_any_length(
    order: str, dims: tuple[int, ...], tmp_path: Path
) -> None:
    path = nifti(tmp_path / "a.nii", sform=np.diag([0.8, 0.8, 2.5, 1]))
    content = bytearray(path.read_bytes())
    if order == ">":
        swapped = nibabel.Nifti1Header(bytes(content[:348])).as_byteswapped(">")
        content = bytearray(swapped.binaryblock) + content[348:352] + VOXELS.byteswap().tobytes()
    struct.pack_into(f"{order}8h", content, 40, *dims)
    path.write_bytes(content)
    assert read_scan(path).GetSize() == SIZE
    np.testing.assert_array_equal(voxel_array(read_scan(path)), VOXELS)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_an_archive_under_another_name_says_so(suffix: str, tmp_path: Path) -> None:
    content = nifti(tmp_path / "plain.nii").read_bytes()
    thrice = gzip.compress(gzip.compress(gzip.compress(content)))
    for packed, said in ((bz2.compress(content), "with bzip2; unpack it"), (thrice, "unpack it")):
        (tmp_path / f"a{suffix}").write_bytes(packed)
        error = refusal(tmp_path / f"a{suffix}")
        assert error.code == "unreadable"
        assert said in error.fact
        assert "damaged" not in error.fact


def test_a_truncated_file_in_a_file_is_noticed(tmp_path: Path) -> None:
    inner = gzip.compress(nifti(tmp_path / "plain.nii").read_bytes())
    for content in (gzip.compress(inner[:-4]), gzip.compress(inner)[:-4]):
        (tmp_path / "a.nii.gz").write_bytes(content)
        assert "truncated" in refusal(tmp_path / "a.nii.gz").fact


# -- scaled labels ------------------------------------------------------------------------------
def saved_as_uint8(labels: NDArray[Any], path: Path) -> nibabel.Nifti1Image:
    """Save floats in 8 bits, as nibabel does for whoever sets the type alone."""
    image = nibabel.Nifti1Image(labels.T.astype(np.float64), np.diag([0.8, 0.8, 2.5, 1]))
    image.set_data_dtype(np.uint8)
    nibabel.save(image, path)
    found: nibabel.Nifti1Image = nibabel.load(path)
    return found


@pytest.mark.parametrize("highest", [2, 5, 104, 117, 250])
def test_labels_that_were_scaled_into_few_bits_are_restored(highest: int, tmp_path: Path) -> None:
    labels = np.random.default_rng(1).integers(0, highest + 1, (8, 7, 6))
    labels.flat[0] = highest
    image = saved_as_uint8(labels, tmp_path / "a.nii.gz")
    for mask in (read_scan(tmp_path / "a.nii.gz"), as_scan(image)):
        np.testing.assert_array_equal(label_array(mask), labels)
        turned = on_grid_of(orient(mask, "RAS"), orient(mask, "LPS"))
        np.testing.assert_array_equal(label_array(turned), label_array(orient(mask, "RAS")))


def test_labels_in_steps_of_more_than_one_are_lost(tmp_path: Path) -> None:
    labels = np.arange(8 * 7 * 6).reshape(8, 7, 6) * 3
    saved_as_uint8(labels, tmp_path / "a.nii.gz")
    with pytest.raises(UnusableCase, match=r"steps of 3\.94, in which labels are lost") as caught:
        label_array(read_scan(tmp_path / "a.nii.gz"))
    assert caught.value.code == "not_labels"


@pytest.mark.parametrize("highest", [1.0, 100.0, 200.0])
def test_a_map_of_probabilities_is_not_taken_for_labels(highest: float, tmp_path: Path) -> None:
    saved_as_uint8(np.linspace(0, highest, 8 * 7 * 6).reshape(8, 7, 6), tmp_path / "a.nii.gz")
    with pytest.raises(UnusableCase, match="threshold a probability map") as caught:
        label_array(read_scan(tmp_path / "a.nii.gz"))
    assert caught.value.code == "not_labels"


# -- what is no file ----------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", READERS)
def test_pipes_and_devices_are_refused_at_once(suffix: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"zeros{suffix}").symlink_to("/dev/zero")
    for name in ("pipe", "zeros"):
        for look in (read_scan, preview_scan):
            with pytest.raises(UnusableCase, match="a pipe, a socket or a device") as caught:
                look(tmp_path / f"{name}{suffix}")
            assert caught.value.code == "unreadable"


def test_a_stream_that_ends_in_zeros_for_ever_is_refused_at_once(tmp_path: Path) -> None:
    with (tmp_path / "a.nii.gz").open("wb") as file:
        file.write(gzip.compress(nifti(tmp_path / "plain.nii").read_bytes()))
        file.truncate(200 * 10**9)
    assert refusal(tmp_path / "a.nii.gz").code == "unreadable"


# -- words of headers ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (nrrd, "type: Doe^John\nencoding: raw"),
        (nrrd, "type: short\nencoding: Doe^John"),
        (meta, "Doe^John"),
        (meta, "MET_Doe^John"),
        (meta, ""),
        (nrrd, "type: block\nencoding: raw"),
        (nrrd, "type: short\nencoding: bzip2"),
        (meta, "MET_LONG"),
    ],
)
def test_unknown_words_of_a_header_are_not_shown(
    make: Callable[[Path, str, str], Path], what: str, tmp_path: Path
) -> None:
    path = tmp_path / ("a.nrrd" if make is nrrd else "a.mha")
    error = refusal(make(path, IN_LPS if make is nrrd else IDENTITY, what))
    assert error.code == "unreadable"
    assert "Doe" not in error.fact
    known = [word for word in ("block", "bzip2", "MET_LONG") if word in what]
    assert all(word in error.fact for word in known)
