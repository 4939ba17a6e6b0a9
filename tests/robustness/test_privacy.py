"""A cohort full of a patient's name and birth date leaves neither in any output, failures included.

What a person reads at default verbosity counts as output; ``--verbose`` names paths by design.
"""

from __future__ import annotations

import gzip
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from typer.testing import CliRunner

from pancseg import write_scan
from pancseg.cli import app
from pancseg.cohort.pseudonyms import MARK
from pancseg.phantom import Phantom
from pancseg.processing.acquisition import acquisition_of, write_acquisition
from pancseg.scans.arrays import voxel_array
from pancseg.scans.geometry import grid_difference_mm

pytestmark = pytest.mark.usefixtures("in_process")

NAME, BORN, WARD = "DOE^JOHN", "19470312", "ward_kappa"
SECRET = re.compile(rb"doe(?!s )|john|1947.?03.?12|ward_kappa|secret", re.IGNORECASE)
IDENTITY = {
    "PatientName": NAME,
    "PatientID": f"{NAME} {BORN}",
    "PatientBirthDate": BORN,
    "AccessionNumber": BORN,
    "StudyDescription": NAME,
    "SeriesDescription": NAME,
    "ProtocolName": NAME,
    "InstitutionName": WARD,
    "ReferringPhysicianName": NAME,
    "ImageComments": f"{NAME} {BORN}",
    "Manufacturer": f"SIEMENS {NAME}",
    "ManufacturerModelName": f"SOMATOM {NAME} {BORN}",
    "ContrastBolusAgent": NAME,
    "ConvolutionKernel": NAME,
}
FAST = ["--config", "pyradiomics_default"]
PHANTOM = ["--weights", "monet_phantom", "--threads", "1"]
COMMANDS: dict[str, list[str]] = {
    "check": FAST,
    "segment": PHANTOM,
    "extract": FAST,
    "run": [*FAST, *PHANTOM],
}
"""Every command over a cohort, with options; COHORT and --out are added."""


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x 1947-03-12"))
    (tmp_path / "John.txt").write_bytes(b"")
    assert {found for _, found in leaks(tmp_path)} == {b"1947-03-12", b"John"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_manifest_with_neutral_ids_leaves_no_trace_of_anybody(
    command: str, hospital: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = hospital / "manifest" / command
    code, text = call(command, hospital / "cohort.csv", "--out", out, *COMMANDS[command])
    assert code == 1  # some fail, all are told
    for number in range(1, 8):
        assert f"P{number}" in text
    assert_nothing_leaks(out, text, capfd)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_under_pseudonyms_leaves_no_trace_of_anybody(
    command: str, hospital: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, folder = hospital / "folder" / command, hospital / f"{WARD} {NAME} {BORN}"
    masks = [] if command == "segment" else ["--masks", hospital / "masks"]
    hide = ["--pseudonymise", hospital / "key", "--id-map", hospital / f"{command}.csv"]
    code, text = call(command, folder, "--out", out, *masks, *hide, *COMMANDS[command])
    assert code == 1
    assert len(set(re.findall(r"\bp[0-9a-f]{20}\b", text))) == 5
    assert_nothing_leaks(out, text, capfd)
    map_text = (hospital / f"{command}.csv").read_text(encoding="utf-8")
    assert map_text.count(NAME) == 5


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_command_with_failures_and_crashes_in_its_workers_tells_of_nobody(
    command: str, hospital: Path
) -> None:
    """As a person starts it: a process with workers of its own, whose libraries break and print."""
    child = Path(__file__).parents[1] / "running" / "crashing_child.py"
    start = "import sys; from pancseg.cli import app; "
    start += "from pancseg.running.executors import process; "
    start += "process.CHILD = (sys.argv.pop(1),); app()"
    rows = (hospital / "cohort.csv").read_text().splitlines()
    for number, end in enumerate(("segfault", "abort", "beside", "print"), len(rows)):
        shutil.copy(hospital / f"{NAME}_small.nii.gz", hospital / f"{end}_{NAME}.nii.gz")
        rows.append(f"P{number},{end}_{NAME}.nii.gz,,")
    (hospital / "mixed.csv").write_text("\n".join(rows) + "\n")
    out = hospital / "mixed" / command
    words = [command, hospital / "mixed.csv", "--out", out, "--workers", "2", *COMMANDS[command]]
    ended = subprocess.run(
        [sys.executable, "-c", start, str(child), *map(str, words)],
        capture_output=True,
        timeout=600,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert b"P8: error (crashed): its process crashed (SIGSEGV)" in said
    assert b"P9: error (crashed): its process crashed (SIGABRT)" in said
    assert b"P10: error (KeyError): unexpected KeyError" in said
    assert b"P3: fail (unreadable)" in said
    assert SECRET.findall(said) == [], said
    assert leaks(out) == []


def test_masks_under_pseudonyms_are_found_again(hospital: Path) -> None:
    """Segmented, corrected, extracted: the masks of a run under pseudonyms bear those."""
    out, folder = hospital.parent / "again", hospital / "two" / NAME
    hide = ["--pseudonymise", hospital / "key"]
    call("segment", folder, "--out", out, *hide, *PHANTOM)
    code, text = call("extract", folder, "--out", out, "--masks", out / "masks", *hide, *FAST)
    assert (code, "2 rows in features.csv: 2 usable" in text) == (0, True)
    code, text = call("extract", folder, "--out", out, "--masks", out / "masks", *FAST)
    assert (code, "2 of 2 masks belong to no case" in text) == (2, True)


def test_rows_of_a_folder_are_not_in_the_order_of_hidden_names(hospital: Path) -> None:
    folder, hide = hospital / "two" / NAME, ["--pseudonymise", hospital / "key"]
    _, text = call("check", folder, *hide, *FAST)
    shown = re.findall(r"\] (p[0-9a-f]{20})", text)
    assert shown == sorted(shown)
    assert len(shown) == 2


@pytest.mark.parametrize("header", ["patient_id,image,mask_label,notes", ""])
def test_a_bad_manifest_is_told_by_lines(
    header: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("k" * 32)
    (tmp_path / "a.nii.gz").write_bytes(b"")
    lines = [
        header,
        f"{NAME},{NAME}.nii.gz,ring({NAME},",
        f"{NAME},a.nii.gz,,",
        f"{NAME}/{BORN},a.nii.gz,,",
        f",a.nii.gz,,{NAME},{NAME}",
    ]
    manifest = tmp_path / "cohort.csv"
    manifest.write_text("\n".join(line for line in lines if line) + "\n")
    hide = ["--pseudonymise", tmp_path / "key"]
    code, text = call("check", manifest, *hide, "--out", tmp_path / "out")
    assert code == 2
    if header:
        for told in (
            "line 2: the image does not exist",
            "the case in line 3 occurs twice",
            "line 2: mask_label is not an expression",
            "line 4: patient_id cannot be a file name",
            "line 5: the row has",
        ):
            assert told in text
    assert_nothing_leaks(tmp_path / "out", text, capfd)
    code, text = call("check", manifest)
    assert code == 2
    assert ("line 2 (DOE^JOHN)" in text) == bool(header)
    if not header:  # the first line is a patient, whoever reads it
        assert "the manifest has no column 'image'" in text
        assert_nothing_leaks(tmp_path / "out", text.replace("line 2 (DOE^JOHN)", ""), capfd)


def test_names_that_cannot_be_ids_are_not_shown_under_pseudonyms(
    tmp_path: Path, phantom: Phantom
) -> None:
    for name in ("Doe J.", "x" * 250):
        (tmp_path / "ct" / name).mkdir(parents=True)
        write_scan(phantom.image, tmp_path / "ct" / name / "scan.nii.gz")
    (tmp_path / "key").write_bytes(b"k" * 32)
    out = tmp_path / "out"
    code, text = call("check", tmp_path / "ct", "--out", out, "--pseudonymise", tmp_path / "key")
    assert code == 2
    assert "the name of scan 1 cannot be a file name" in text
    assert "the name of scan 2 has 250 bytes (at most 200)" in text
    assert "Doe" not in text
    assert "xxx" not in text


def test_masks_of_strangers_are_counted_under_pseudonyms(
    hospital: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Without pseudonyms they are named, as the masks of patients are by their ids."""
    strangers = hospital / "strangers"
    words = ["extract", hospital / "cohort.csv", "--masks", strangers, "--out", hospital / "o"]
    code, text = call(*words)
    assert code == 2
    assert "2 of 4 masks belong to no case (X.mha, secret_stranger" in text
    assert "2 masks fit one case (P1.nii.gz, P1.nrrd); keep one" in text
    code, text = call(*words, "--pseudonymise", hospital / "key")
    assert code == 2
    assert "2 of 4 masks belong to no case (--verbose names them)" in text
    assert "2 masks fit one case (--verbose names them); keep one" in text
    assert_nothing_leaks(hospital / "o", text, capfd)
    with caplog.at_level(logging.DEBUG, "pancseg"):  # what --verbose shows
        call("check", hospital / "cohort.csv", "--masks", strangers)
    assert "secret_stranger" in caplog.text


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_cannot_be_written_is_not_named(
    command: str, hospital: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (hospital / "file").write_text("in the way")
    (hospital / "one.csv").write_text(f"patient_id,image\nP1,{NAME}_small.nii.gz\n")
    out = hospital / "file" / "out"
    code, text = call(command, hospital / "one.csv", "--out", out, *COMMANDS[command])
    assert code == 2
    assert text.endswith("pancseg: the output cannot be written: Not a directory\n")
    assert_nothing_leaks(out, text, capfd)


def test_names_as_ids_are_told_once(hospital: Path) -> None:
    line = "pancseg: patient ids are the names of files and folders; --pseudonymise hides them\n"
    folder = hospital / "two" / NAME
    hide = ["--pseudonymise", hospital / "key"]
    assert call("check", folder)[1].count(line) == 1
    assert line not in call("check", folder, "--quiet")[1]
    assert line not in call("check", folder, *hide)[1]
    assert line not in call("check", hospital / "cohort.csv")[1]
    assert line not in call("check", hospital / f"{NAME}_small.nii.gz")[1]


def test_names_as_ids_are_told_once_per_output_folder(hospital: Path) -> None:
    line = "pancseg: patient ids are the names of files and folders"
    check = ["check", hospital / "two" / NAME, "--out"]
    assert call(*check, hospital / "named")[1].count(line) == 1
    assert line not in call(*check, hospital / "named")[1]
    assert call(*check, hospital / "other")[1].count(line) == 1


def test_key_options_are_refused_in_one_line(hospital: Path) -> None:
    folder, out, key = hospital / "two" / NAME, hospital / "out", hospital / "key"
    out.mkdir(exist_ok=True)
    (out / "key").write_text("k" * 32)
    (hospital / "short").write_text("short\n")
    for options, problem in (
        (["--pseudonymise", out / "key"], "the key file is in the output folder"),
        (["--pseudonymise", hospital / "short"], "the key is 5 bytes long (at least 16)"),
        (["--pseudonymise", hospital / "gone"], "the key file cannot be read: No such file"),
        (["--id-map", hospital / "map.csv"], "--id-map needs --pseudonymise"),
        (["--pseudonymise", key, "--id-map", out / "map.csv"], "the id map would be in the"),
        (
            ["--pseudonymise", key, "--id-map", key],
            "pancseg: the file to write the id map to is not an id map",
        ),
    ):
        code, text = call("check", folder, "--out", out, *options)
        assert (code, text.count("\n")) == (2, 1)
        assert problem in text
    key.chmod(0o644)
    assert (
        "every user of this machine can read the key file"
        in call("check", folder, "--quiet", "--pseudonymise", key)[1]
    )
    key.chmod(0o600)
    assert key.read_text() == "k" * 32


@pytest.mark.parametrize(
    "typed",
    [
        {"Modality": "DOEJOHN"},
        {"PhotometricInterpretation": "PALETTE COLOR", "LossyImageCompression": NAME},
        {"RescaleSlope": NAME},
        {"RescaleSlope": BORN + "x"},
        {"PixelSpacing": [NAME, BORN]},
        {"NumberOfFrames": BORN},
    ],
)
def test_what_was_typed_into_coded_elements_is_not_shown(
    typed: dict[str, str], tmp_path: Path, phantom: Phantom, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cohort" / "P1"
    folder.parent.mkdir()
    write_dicom(folder, phantom.image[:, :, 10:14], "1.2.3.4")
    for path in folder.iterdir():
        with pydicom.config.disable_value_validation():
            ds = pydicom.dcmread(path)
            for keyword, value in typed.items():
                ds.add_new(keyword, "LO", value)
            ds.save_as(path)
    (tmp_path / "key").write_text("k" * 32)
    (tmp_path / "key").chmod(0o600)
    out = tmp_path / "out"
    hide = ["--pseudonymise", tmp_path / "key", "--workers", "0"]
    code, text = call("check", folder.parent, "--out", out, *hide, *FAST)
    assert (code, "0 usable; 1 not usable" in text) == (1, True)
    assert_nothing_leaks(out, text, capfd)


def test_a_cohort_of_dicom_gives_an_acquisition_table_without_anybody(
    hospital: Path, tmp_path: Path
) -> None:
    found = acquisition_of(hospital / f"{WARD} {NAME} {BORN}" / f"a_{NAME}_{BORN}")
    assert (found["manufacturer"], found["convolution_kernel"]) == ("Siemens", "other")
    write_acquisition(tmp_path / "acquisition.csv", [{"patient_id": "P1", **found}])
    assert leaks(tmp_path) == []


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".nii"])
@pytest.mark.parametrize("source", ["nifti", "dicom"])
def test_written_volumes_have_clean_headers(
    suffix: str, source: str, tmp_path: Path, block: sitk.Image
) -> None:
    if source == "dicom":
        write_dicom(tmp_path / "in", block, "1.2.3.4")
        slice_ = str(next((tmp_path / "in").iterdir()))
        image = sitk.ReadImage(slice_)  # a single file brings all its tags
        assert image.GetMetaData("0010|0010").strip() == NAME
    else:
        write_nifti(tmp_path / f"in{suffix}", block)
        image = sitk.ReadImage(str(tmp_path / f"in{suffix}"))
        assert NAME in " ".join(image.GetMetaData(key) for key in image.GetMetaDataKeys())
    keys = image.GetMetaDataKeys()
    (tmp_path / "out").mkdir()
    write_scan(image, tmp_path / "out" / f"clean{suffix}")
    assert leaks(tmp_path / "out") == []
    back = sitk.ReadImage(str(tmp_path / "out" / f"clean{suffix}"))
    np.testing.assert_array_equal(voxel_array(back), voxel_array(image))
    assert grid_difference_mm(back, image) < 1e-3
    assert image.GetMetaDataKeys() == keys  # the caller's image is left as it was


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, phantom: Phantom) -> Path:
    """A ward's folder, scans with and without faults, and manifests of them with neutral ids."""
    root = tmp_path_factory.mktemp("cohorts") / f"{WARD}_{NAME}"
    ward = root / f"{WARD} {NAME} {BORN}"
    masks = root / "masks"
    for folder in (ward, masks, root / "two" / NAME, root / "strangers"):
        folder.mkdir(parents=True)
    (root / "key").write_text("k" * 32)
    (root / "key").chmod(0o600)
    scan, mask = phantom.image[:, :, 10:16], phantom.mask[:, :, 10:16]

    write_dicom(ward / f"a_{NAME}_{BORN}", scan, "1.2.3.19470312.1")
    write_nifti(ward / f"b_{NAME}_{BORN}.nii.gz", scan)
    whole = (ward / f"b_{NAME}_{BORN}.nii.gz").read_bytes()
    (ward / f"c_{NAME}_{BORN}.nii.gz").write_bytes(whole[: len(whole) // 2])
    (ward / f"d_{NAME}_{BORN}").mkdir()
    write_dicom(ward / f"e_{NAME}_{BORN}", scan[:, :, :3], "1.2.3.19470312.2.1")
    write_dicom(ward / f"e_{NAME}_{BORN}", scan[:, :, :3], "1.2.3.19470312.2.2")

    write_nifti(masks / f"a_{NAME}_{BORN}.nii.gz", mask)
    write_nifti(masks / f"b_{NAME}_{BORN}.nii.gz", mask[:-1])  # another grid
    for name in "ab":
        write_nifti(root / "two" / NAME / f"{name}_{NAME}.nii.gz", scan)
    for name in (f"secret_stranger_{NAME}.nii.gz", "P1.nii.gz", "P2.nrrd", "P2.nii.gz", "X.mha"):
        (root / "strangers" / name).write_bytes(b"")
    (root / "strangers" / "P2.nrrd").rename(root / "strangers" / "P1.nrrd")
    (root / "strangers" / "P2.nii.gz").unlink()

    write_nifti(root / f"{NAME}_small.nii.gz", scan[:, :, :2])

    a, b, c, d, e = (f"{ward.name}/{n}_{NAME}_{BORN}" for n in "abcde")
    given = f"masks/a_{NAME}_{BORN}.nii.gz"
    rows = [
        f"P1,{a},{given},",
        f"P2,{b}.nii.gz,masks/b_{NAME}_{BORN}.nii.gz,",
        f"P3,{c}.nii.gz,{given},",
        f"P4,{d},{given},",
        f"P5,{e},{given},",
        f"P6,{b}.nii.gz,,",
        f"P7,{NAME}_small.nii.gz,{c}.nii.gz,",
    ]
    (root / "cohort.csv").write_text("\n".join(["patient_id,image,mask,scan_id", *rows]) + "\n")
    return root


def call(*arguments: str | Path) -> tuple[int, str]:
    """Run a command; return its exit code and all that it prints."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def leaks(folder: Path) -> list[tuple[str, bytes]]:
    """Return what was found in names and bytes, those of compressed files unpacked too."""
    return [
        (path.name, hit)
        for path in sorted(folder.rglob("*"))
        if path.name != "scans.json" or (folder / MARK).exists()  # it tells where scans are
        for content in _contents(path)
        for hit in SECRET.findall(content)
    ]


def _contents(path: Path) -> Iterator[bytes]:
    yield path.name.encode()
    if path.is_file():
        content = path.read_bytes()
        packed = content[:2] == b"\x1f\x8b"
        if packed:
            yield gzip.decompress(content)
        yield content[:100] if packed else content  # a packed file's own header may bear a name


def assert_nothing_leaks(out: Path, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Search the output folder, what was printed, and what libraries printed past Python."""
    assert SECRET.findall(text.encode()) == [], text
    assert SECRET.findall("".join(capfd.readouterr()).encode()) == []
    assert leaks(out) == []


def write_nifti(path: Path, image: sitk.Image) -> None:
    """Write a volume whose header's free text holds the name and the date."""
    labelled = sitk.Image(image)
    for key in ("descrip", "aux_file", "intent_name", "db_name", "ITK_FileNotes"):
        labelled.SetMetaData(key, f"{NAME} {BORN}"[: 15 if key == "intent_name" else 23])
    sitk.WriteImage(labelled, str(path))


def write_dicom(folder: Path, image: sitk.Image, uid: str) -> None:
    """Write a volume as a CT series whose tags and file names hold the name and the date."""
    folder.mkdir(exist_ok=True)
    x, y = image.GetDirection()[0::3], image.GetDirection()[1::3]
    voxels = voxel_array(image)
    for number, slice_ in enumerate(voxels):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"{uid}.{number + 1}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.Modality = uid, "1.2.3.9", "CT"
        ds.InstanceNumber = number + 1
        for keyword, value in IDENTITY.items():
            setattr(ds, keyword, value)
        place = image.TransformIndexToPhysicalPoint((0, 0, number))
        ds.ImagePositionPatient = [f"{v:.6f}" for v in place]
        ds.ImageOrientationPatient = [f"{v:.8f}" for v in (*x, *y)]
        ds.PixelSpacing = [f"{v:.6f}" for v in image.GetSpacing()[1::-1]]
        ds.SliceThickness = f"{image.GetSpacing()[2]:.6f}"
        ds.Rows, ds.Columns = slice_.shape
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.SamplesPerPixel = 16, 16, 15, 1
        ds.PixelRepresentation, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        ds.PixelData = slice_.astype("<i2").tobytes()
        ds.save_as(folder / f"{NAME}_{uid[-1]}_{number}.dcm", enforce_file_format=True)
