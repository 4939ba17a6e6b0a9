"""Reading keeps voxels and geometry, refuses what is not one volume; grids are compared in mm."""

from __future__ import annotations

import gzip
import struct
import zlib
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_series import write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from pancseg import QualityLimits, UnusableCase, judge_scan, read_scan, write_scan
from pancseg.scans.arrays import image_like, label_array, voxel_array
from pancseg.scans.dicom.detect import IDENTITY, PHASE_HINT, THICKNESS_MM
from pancseg.scans.geometry import axes_of, grid_difference_mm, on_grid_of, orient, slice_spacing_mm
from pancseg.scans.reading import READERS, phase_hint

ORIENTATIONS = [
    "".join(a[i] for a, i in zip(order, signs, strict=True))
    for order in permutations(("LR", "PA", "SI"))
    for signs in product((0, 1), repeat=3)
]


def refusal(path: Path, **options: str) -> UnusableCase:
    with pytest.raises(UnusableCase) as caught:
        read_scan(path, **options)
    assert str(path) not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("suffix", READERS)
def test_every_format_keeps_voxels_and_geometry(
    suffix: str, tmp_path: Path, block: sitk.Image
) -> None:
    path = tmp_path / f"scan{suffix}"
    if suffix == ".nhdr" or suffix == ".mhd":
        sitk.WriteImage(block, str(path))  # two files: not something that scans.write makes
    else:
        write_scan(block, path)
    back = read_scan(path)
    np.testing.assert_array_equal(voxel_array(back), voxel_array(block))
    assert grid_difference_mm(block, back) < 1e-3
    assert back.GetPixelID() == block.GetPixelID()


def test_writing_leaves_no_partial_file(tmp_path: Path, block: sitk.Image) -> None:
    write_scan(block, tmp_path / "scan.nii.gz")
    with pytest.raises(OSError, match="cannot write"):
        write_scan(block, tmp_path / "missing" / "scan.nii.gz")
    assert [p.name for p in tmp_path.iterdir()] == ["scan.nii.gz"]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files_are_refused(
    suffix: str, share: float, tmp_path: Path, block: sitk.Image
) -> None:
    path = tmp_path / f"scan{suffix}"
    write_scan(block, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert refusal(path).code == "unreadable"


def test_a_short_payload_in_a_whole_gzip_is_refused(tmp_path: Path, block: sitk.Image) -> None:
    path = tmp_path / "scan.nii.gz"
    write_scan(block, path)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100]))
    assert "100 bytes missing" in refusal(path).fact


@pytest.mark.parametrize("suffix", READERS)
def test_text_under_a_volume_name_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"scan{suffix}"
    path.write_text("patient moved, scan again on Monday\n" * 20)
    assert refusal(path).code == "unreadable"


def test_what_is_not_one_scalar_volume_is_refused(tmp_path: Path, block: sitk.Image) -> None:
    floats = sitk.Cast(block, sitk.sitkFloat32)
    floats[0, 0, 0] = float("nan")
    cases = {
        "not_3d": [sitk.JoinSeries([block, block]), sitk.GetImageFromArray(np.zeros((9, 9)))],
        "not_scalar": [sitk.Compose(block, block, block)],
        "one_slice": [block[:, :, :1]],
        "not_hu": [floats],
    }
    for code, images in cases.items():
        for image in images:
            path = tmp_path / "bad.nii.gz"
            sitk.WriteImage(image, str(path))
            error = refusal(path)
            assert error.code == code
            assert any(character.isdigit() for character in error.fact)


def test_four_axes_with_one_volume_are_one_volume(tmp_path: Path, block: sitk.Image) -> None:
    sitk.WriteImage(sitk.JoinSeries([block]), str(tmp_path / "scan.nii.gz"))
    assert read_scan(tmp_path / "scan.nii.gz").GetSize() == block.GetSize()


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ORIENTATIONS), st.sampled_from(ORIENTATIONS))
def test_orienting_there_and_back_moves_nothing(first: str, second: str) -> None:
    rng = np.random.default_rng(1)
    image = sitk.GetImageFromArray(rng.integers(0, 9, (3, 4, 5)).astype(np.uint8))
    image.SetSpacing((1.0, 2.0, 3.0))
    a = orient(image, first)
    b = orient(a, second)
    assert (axes_of(a), axes_of(b)) == (first, second)
    assert grid_difference_mm(a, b) < 1e-9
    np.testing.assert_array_equal(voxel_array(on_grid_of(a, b)), voxel_array(a))


def test_header_rounding_is_mended_and_a_real_difference_refused(
    block: sitk.Image, caplog: pytest.LogCaptureFixture
) -> None:
    noisy = sitk.Image(block)
    noisy.SetOrigin([v + 0.01 for v in block.GetOrigin()])
    with caplog.at_level("DEBUG", "pancseg"):
        mended = on_grid_of(block, noisy)
        assert caplog.messages == ["grids of scan and mask differed by 0.017 mm and were made one"]
        on_grid_of(block, mended)
    assert mended.GetOrigin() == block.GetOrigin()
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    for change in ("SetOrigin", "SetSpacing"):
        moved = sitk.Image(block)
        getattr(moved, change)([v + 0.5 for v in getattr(block, change.replace("Set", "Get"))()])
        with pytest.raises(UnusableCase, match="different grids") as caught:
            on_grid_of(block, moved)
        assert caught.value.code == "geometry"
    with pytest.raises(UnusableCase, match="8×7×6 voxels"):
        on_grid_of(block, block[:-1])


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
def test_of_a_series_text_only_the_phase_is_kept(charset: str, tmp_path: Path) -> None:
    texts = {"SeriesDescription": "Doe Abd spätvenös", "ProtocolName": "Abdomen art."}
    write_series(tmp_path, [0, 2, 4, 6], "1.2.826.9", SpecificCharacterSet=charset, **texts)
    image = read_scan(tmp_path)
    assert phase_hint(image) == "delayed"
    assert set(image.GetMetaDataKeys()) == {PHASE_HINT, THICKNESS_MM, IDENTITY}
    assert "1.2.826" not in image.GetMetaData(IDENTITY)


def test_a_phase_that_is_not_portal_venous_is_a_warning(tmp_path: Path) -> None:
    expected = {"Abd portalvenös": [], "Abd arteriell": ["phase"], "Abdomen": []}
    for number, (text, codes) in enumerate(expected.items()):
        folder = tmp_path / str(number)
        texts = {"SpecificCharacterSet": "ISO_IR 100", "SeriesDescription": text}
        write_series(folder, [0, 1, 2], "1.2.826.9", **texts)
        verdict = judge_scan(read_scan(folder), QualityLimits())
        assert [f.code for f in verdict.findings if f.code != "not_hu"] == codes
    assert "qc_phase_hint" not in verdict.values


@pytest.mark.parametrize(
    ("thickness", "codes"),
    [(2.5, []), (4.0, ["thick_slices"]), (None, []), ("", []), (-7, []), (0.5, [])],
)
def test_thick_slices_that_overlap_are_thick(
    thickness: float | str | None, codes: list[str], tmp_path: Path
) -> None:
    write_series(tmp_path, [0, 1, 2], "1.2.826.9", SliceThickness=thickness)
    scan = read_scan(tmp_path)
    verdict = judge_scan(scan, QualityLimits())
    assert [f.code for f in verdict.findings if f.code != "not_hu"] == codes
    assert verdict.values["qc_slice_mm"] == 1
    if codes:
        assert verdict.findings[-1].fact == (
            "slices are 4 mm thick and 1 mm apart (expected at most 3 mm)"
        )
        assert verdict.values["qc_slice_thickness_mm"] == 4


def test_a_dicom_folder_is_one_series_in_space_order(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", [2.0 * i for i in range(5)], "1.2.826.111")
    image = read_scan(tmp_path / "ct")
    assert image.GetSize() == (5, 6, 5)
    assert image.GetSpacing() == pytest.approx((0.7, 0.7, 2.0))
    assert voxel_array(image)[:, 0, 0].tolist() == [0, 2, 4, 6, 8]


def test_several_series_are_listed_and_one_can_be_chosen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A UID may end in a date of birth: it is shown to whoever asks for it only."""
    write_series(tmp_path / "ct", [0.0, 2.0, 4.0], "1.2.826.19470311")
    write_series(tmp_path / "ct", [0.0, 2.0, 4.0, 6.0], "1.2.826.19470312")
    caplog.set_level("INFO", "pancseg")
    error = refusal(tmp_path / "ct")
    assert error.code == "several_series"
    assert "2 DICOM series in the folder, 2 fit equally well: no phase, 2 mm" in error.fact
    other = refusal(tmp_path / "ct", series_uid="999")
    assert other.code == "no_series"
    for text in (error.fact, other.fact, caplog.text):
        assert "1947" not in text
    assert read_scan(tmp_path / "ct", series_uid="312").GetSize()[2] == 4
    caplog.set_level("DEBUG", "pancseg")
    refusal(tmp_path / "ct")
    assert "no kernel, 5×6×4: fits, UID 1.2.826.19470312" in caplog.text


@pytest.mark.parametrize("positions", [[0.0, 2.0, 6.0, 8.0], [0.0, 2.0, 2.0, 4.0]])
def test_missing_and_doubled_slices_are_refused(tmp_path: Path, positions: list[float]) -> None:
    write_series(tmp_path / "ct", positions, "1.2.826.333")
    assert refusal(tmp_path / "ct").code == "uneven_slices"


def test_a_tilted_gantry_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", [2.0 * i for i in range(5)], "1.2.826.444", shear=0.36)
    error = refusal(tmp_path / "ct")
    assert error.code == "tilted"
    assert "2.9 mm" in error.fact


def test_a_damaged_slice_is_not_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", [2.0 * i for i in range(5)], "1.2.826.555")
    first = next((tmp_path / "ct").iterdir())
    first.write_bytes(first.read_bytes()[:200])
    assert refusal(tmp_path / "ct").fact.startswith("1 of 5 CT slices in the folder are damaged;")


@pytest.mark.parametrize(
    ("kind", "modality"),
    [
        (pydicom.uid.XRayRadiationDoseSRStorage, "SR"),
        (pydicom.uid.SegmentationStorage, "SEG"),
        (pydicom.uid.RTStructureSetStorage, "RTSTRUCT"),
    ],
)
def test_what_lies_beside_the_slices_is_no_slice(
    kind: pydicom.uid.UID, modality: str, tmp_path: Path
) -> None:
    write_series(tmp_path / "ct", [2.0 * i for i in range(3)], "1.2.826.666")
    (tmp_path / "ct" / "._IM1.dcm").write_bytes(b"\0\x05\x16\x07 what macOS notes of a file")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    report.SOPClassUID, report.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
    report.SeriesInstanceUID, report.Modality = "1.2.826.777", modality
    if modality == "SEG":  # the one of them that has pixels
        report.Rows, report.Columns, report.BitsAllocated, report.BitsStored = 8, 8, 1, 1
        report.PixelData = bytes(8)
        report["PixelData"].VR = "OB"
    report.save_as(tmp_path / "ct" / "beside.dcm", enforce_file_format=True)
    assert read_scan(tmp_path / "ct").GetSize()[2] == 3


@pytest.mark.parametrize(("first", "gap"), [(-801.2, 1.5), (-801.3, 1.5), (-801.2, 5.0)])
def test_where_a_series_begins_does_not_change_how_far_its_slices_are(
    first: float, gap: float, tmp_path: Path
) -> None:
    """By the last bit 1.5000000000000002 would be above a limit of 1.5."""
    write_series(tmp_path / "ct", [round(first + gap * i, 1) for i in range(40)], "1.2.826.888")
    assert slice_spacing_mm(read_scan(tmp_path / "ct")) == gap


def test_a_flipped_bit_in_a_gzip_is_noticed(tmp_path: Path, block: sitk.Image) -> None:
    path = tmp_path / "scan.nii.gz"
    stored = zlib.compressobj(level=0, wbits=31)  # stored, not packed: any bit may flip unseen
    write_scan(block, tmp_path / "plain.nii")
    content = bytearray(stored.compress((tmp_path / "plain.nii").read_bytes()) + stored.flush())
    path.write_bytes(content)
    assert read_scan(path).GetSize() == block.GetSize()
    content[-100] ^= 64
    path.write_bytes(content)
    assert refusal(path).code == "unreadable"


def test_sheared_axes_are_named(tmp_path: Path, block: sitk.Image) -> None:
    write_scan(block, tmp_path / "scan.nii")
    content = bytearray((tmp_path / "scan.nii").read_bytes())
    content[252:254] = (0).to_bytes(2, "little")  # no quaternion, and
    content[254:256] = (1).to_bytes(2, "little")  # an sform with a sheared z axis
    content[280:328] = struct.pack("<12f", 1, 0, 0.4, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    (tmp_path / "scan.nii").write_bytes(content)
    assert refusal(tmp_path / "scan.nii").code == "geometry"


def test_a_file_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/home/secret/x.nii.gz")

    (tmp_path / "x.nii.gz").write_bytes(b"")
    monkeypatch.setattr("pancseg.scans.formats.nifti._beginning", denied)
    assert refusal(tmp_path / "x.nii.gz").fact == "the image cannot be reached: Permission denied"


def test_folders_without_dicom_are_refused(tmp_path: Path) -> None:
    assert "0 files" in refusal(tmp_path).fact
    (tmp_path / "notes.txt").write_text("nothing here")
    assert refusal(tmp_path).code == "unreadable"
    assert refusal(tmp_path / "missing.nii.gz").code == "unreadable"
    assert ".nii.gz" in refusal(tmp_path / "notes.txt").fact


def test_a_real_mask_with_opposite_y_is_reordered(data: Path) -> None:
    ct = read_scan(data / "totalseg" / "example_ct_dicom")
    mask = read_scan(data / "totalseg" / "example_seg_dicom.nii.gz")
    assert axes_of(ct) != axes_of(mask)
    ordered = on_grid_of(ct, mask)
    assert ordered.GetDirection() == ct.GetDirection()
    inside = voxel_array(ordered) == 7
    assert inside.sum() == 1327
    wrong_way = voxel_array(ct)[:, ::-1][inside]
    assert voxel_array(ct)[inside].std() < 0.5 * wrong_way.std()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
)
def test_a_nifti_file_is_what_itk_reads(
    suffix: str, dtype: str, block: sitk.Image, tmp_path: Path
) -> None:
    """Read once, voxels here and geometry by ITK: the same as by ITK alone, to the bit."""
    voxels = np.abs(voxel_array(block) % 100).astype(dtype)
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image_like(voxels, block), str(path))
    found, expected = read_scan(path), sitk.ReadImage(str(path))
    assert found.GetPixelID() == expected.GetPixelID()
    np.testing.assert_array_equal(voxel_array(found), voxels)
    for geometry in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(found, geometry)() == getattr(expected, geometry)()


def test_a_scale_in_a_nifti_header_is_applied(block: sitk.Image, tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    sitk.WriteImage(block, str(path))
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<ff", 2.0, -1000.0)
    path.write_bytes(content)
    np.testing.assert_allclose(voxel_array(read_scan(path)), voxel_array(block) * 2.0 - 1000)


def test_masks_of_any_type_are_labels(block: sitk.Image, tmp_path: Path) -> None:
    voxels = (voxel_array(block) > 0).astype(np.float64)
    for name, made in (("bool", voxels.astype(np.uint8)), ("float", voxels), ("half", voxels / 2)):
        write_scan(image_like(made, block), tmp_path / f"{name}.nii.gz")
    for name in ("bool", "float"):
        found = label_array(read_scan(tmp_path / f"{name}.nii.gz"))
        np.testing.assert_array_equal(found, voxels)
    with pytest.raises(UnusableCase, match=r"fractions \(0 to 0\.5\)"):
        label_array(read_scan(tmp_path / "half.nii.gz"))
