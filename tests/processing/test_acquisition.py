"""DICOM tags come by allow-list and in safe forms: what people type into them stays behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from command_line import call
from dicom_series import write_series
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, XRayRadiationDoseSRStorage

from pancseg import write_scan
from pancseg.processing.acquisition import _TAGS, COLUMNS, acquisition_of, write_acquisition
from pancseg.system.processes.python_child import child_environment

SOMATOM = {
    "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "SOMATOM Definition AS+",
    "KVP": "120",
    "XRayTubeCurrent": "215",
    "Exposure": "107",
    "ConvolutionKernel": ["Br40d", "3"],
    "SliceThickness": "2.5",
    "SpacingBetweenSlices": "-2.5",
    "PixelSpacing": ["0.9765625", "0.9765625"],
    "ReconstructionDiameter": "500",
    "ContrastBolusAgent": "Omnipaque 350 DOE^JOHN",
    "PatientPosition": "HFS",
}
KEPT = {
    "manufacturer": "Siemens",
    "manufacturer_model_name": "SOMATOM Definition AS+",
    "kvp": 120.0,
    "tube_current_ma": 215.0,
    "exposure_mas": 107.0,
    "convolution_kernel": "Br40d/3",
    "slice_thickness_mm": 2.5,
    "spacing_between_slices_mm": -2.5,
    "pixel_spacing_mm": 0.9765625,
    "reconstruction_diameter_mm": 500.0,
    "contrast_bolus_agent": "yes",
    "patient_position": "HFS",
}


def write_header(
    path: Path,
    tags: dict[str, object],
    *,
    uid: str = "1.2.3.111",
    sop_class: str = CTImageStorage,
    syntax: str = ExplicitVRLittleEndian,
) -> Path:
    """Write a DICOM file without pixels; values are taken as they are, valid or not."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, "1.2.3.4"
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.PatientName, ds.PatientBirthDate = "DOE^JOHN", "19470312"
    ds.SeriesDescription, ds.AccessionNumber = "DOE^JOHN", "19470312"
    ds.SeriesInstanceUID = uid
    path.parent.mkdir(exist_ok=True)
    with pydicom.config.disable_value_validation():
        for keyword, value in tags.items():
            setattr(ds, keyword, value)
        ds.save_as(path, enforce_file_format=True)
    return path


def one(folder: Path, keyword: str, value: object) -> float | str | None:
    """Return what is kept of one tag."""
    found = acquisition_of(write_header(folder / "one.dcm", {keyword: value}))
    names = {pydicom.datadict.keyword_for_tag(t.number): t.column.name for t in _TAGS}
    return found.get(names[keyword])


def test_a_scanner_says_how_the_scan_was_made(tmp_path: Path) -> None:
    write_header(tmp_path / "ct" / "1.dcm", SOMATOM)
    assert acquisition_of(tmp_path / "ct") == KEPT
    assert acquisition_of(tmp_path / "ct" / "1.dcm") == KEPT
    assert list(KEPT) == [column.name for column in COLUMNS]


def test_no_tag_of_identity_is_on_the_list() -> None:
    for tag in _TAGS:
        number = Tag(tag.number)
        assert number.group in (0x0008, 0x0018, 0x0028)
        assert pydicom.datadict.dictionary_VR(number) in ("LO", "SH", "DS", "IS", "CS")
        assert tag.column.description


@pytest.mark.parametrize("typed", ["DOE^JOHN", "JOHN", "19470312", "1947-03-12", "Müller"])
def test_what_a_person_typed_into_an_allowed_tag_is_not_copied(tmp_path: Path, typed: str) -> None:
    words = [k for k in SOMATOM if pydicom.datadict.dictionary_VR(k) not in ("DS", "IS")]
    found = acquisition_of(write_header(tmp_path / "1.dcm", dict.fromkeys(words, typed)))
    assert set(found.values()) <= {"other", "yes", "no"}
    assert found["contrast_bolus_agent"] == "yes"


def test_a_date_in_a_number_is_not_copied(tmp_path: Path) -> None:
    numbers = [tag.keep for tag in _TAGS if tag.column.type == "number"]
    assert len(numbers) == 7
    for text in ("19470312", "-19470312", "1.9470312e7", "1e400", "nan", "1_2", "0x7f", "1 2"):
        assert {keep(text) for keep in numbers} == {""}
    assert one(tmp_path, "Exposure", "19470312") is None
    assert one(tmp_path, "SliceThickness", "1.9470312") == 1.947031


@pytest.mark.parametrize(
    ("keyword", "typed", "kept"),
    [
        ("Manufacturer", "GE MEDICAL SYSTEMS", "GE"),
        ("Manufacturer", "TOSHIBA_MEC", "Canon"),
        ("Manufacturer", "Philips DOE^JOHN", "Philips"),
        ("Manufacturer", "GEORGE DOE", "other"),
        ("ManufacturerModelName", "Biograph40_mCT 4R", "Biograph40 mCT"),
        ("ManufacturerModelName", "iCT 256 DOE 19470312", "iCT 256"),
        ("ManufacturerModelName", "64 947", "other"),
        ("ManufacturerModelName", "SOMATOM 12 03 947", "SOMATOM 12"),
        ("ManufacturerModelName", "SOMATOM DOE 12 3", "SOMATOM"),
        ("ManufacturerModelName", "Aquilion 64", "Aquilion 64"),
        ("ManufacturerModelName", "LightSpeed_VCT uCT760", "LightSpeed VCT uCT760"),
        ("ConvolutionKernel", "FC13-H", "FC13-H"),
        ("ConvolutionKernel", "STANDARD", "STANDARD"),
        ("ConvolutionKernel", "B", "B"),
        ("ConvolutionKernel", "B_SOFT_B", "B_SOFT_B"),
        ("ConvolutionKernel", ["B30f", "DOE"], "other"),
        ("ContrastBolusAgent", "none", "no"),
        ("ContrastBolusAgent", "ohne KM", "no"),
        ("ContrastBolusAgent", "", "no"),
        ("ContrastBolusAgent", "Nonionic", "yes"),
        ("ContrastBolusAgent", "NON-IONIC", "yes"),
        ("ContrastBolusAgent", "Non ionic 100 ml", "yes"),
        ("ContrastBolusAgent", "0.5 ml/kg Iohexol", "yes"),
        ("ContrastBolusAgent", "N.I. contrast", "yes"),
        ("ContrastBolusAgent", "Ultravist® 370", "yes"),
        ("ContrastBolusAgent", "no oral, IV Omnipaque 350", None),
        ("ContrastBolusAgent", "No IV contrast given", "no"),
        ("ContrastBolusAgent", "w/o contrast", "no"),
        ("ContrastBolusAgent", "non-contrast", "no"),
        ("ContrastBolusAgent", "kein Kontrastmittel", "no"),
        ("ContrastBolusAgent", "0 ml", "no"),
        ("ContrastBolusAgent", "N/A", "no"),
        ("ContrastBolusAgent", "NON CONTRAST CT", "no"),
        ("ContrastBolusAgent", "Non-contrast study", "no"),
        ("ContrastBolusAgent", "non-enhanced", "no"),
        ("ContrastBolusAgent", "NON CON", "no"),
        ("ContrastBolusAgent", "N/C", "no"),
        ("ContrastBolusAgent", "0.0 ml", "no"),
        ("ContrastBolusAgent", "sans injection", "no"),
        ("ContrastBolusAgent", "nativ, ohne KM-Gabe", "no"),
        ("ContrastBolusAgent", "äöü", "yes"),
        ("ContrastBolusAgent", "no" + " iv" * 400 + " x", None),
        ("PixelSpacing", ["0.7", "0.8"], None),
        ("PatientPosition", "DOE", None),
    ],
)
def test_words_are_reduced_to_known_ones(
    tmp_path: Path, keyword: str, typed: object, kept: str | None
) -> None:
    assert one(tmp_path, keyword, typed) == kept


@pytest.mark.parametrize(
    "text",
    ["1" * 240_000, "1" * 240_000 + "x", "9 " * 120_000, "no" * 120_000, "SOMATOM " * 36_000],
)
def test_long_texts_cost_nothing_and_are_not_copied(text: str, tmp_path: Path) -> None:
    path = write_header(tmp_path / "1.dcm", {})
    ds = pydicom.dcmread(path)
    for tag in _TAGS:
        ds.add_new(tag.number, "UT", text)
    ds.save_as(path)
    start = time.process_time()
    found = acquisition_of(path)
    assert time.process_time() - start < 20  # quadratic work takes minutes
    assert set(found) <= {
        "manufacturer", "manufacturer_model_name", "convolution_kernel", "contrast_bolus_agent",
    }  # fmt: skip
    assert all(len(str(value)) < 300 for value in found.values())


def test_a_header_of_millions_of_items_has_no_acquisition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pancseg.scans.dicom.elements.MOST_ELEMENTS", 1000)
    path = write_header(tmp_path / "1.dcm", SOMATOM)
    assert acquisition_of(path) == KEPT
    content = path.read_bytes()
    items = b"\x09\0\x10\x10SQ\0\0" + b"\xff" * 4 + (b"\xfe\xff\0\xe0" + bytes(4)) * 2000
    at = content.index(b"\x10\0\x10\0PN")
    path.write_bytes(content[:at] + items + b"\xfe\xff\xdd\xe0" + bytes(4) + content[at:])
    assert acquisition_of(path) == {}


def test_a_file_without_its_preamble_has_an_acquisition(tmp_path: Path) -> None:
    path = write_header(tmp_path / "1.dcm", {"SOPClassUID": CTImageStorage, **SOMATOM})
    content = path.read_bytes()
    path.write_bytes(content[144 + int.from_bytes(content[140:144], "little") :])
    assert acquisition_of(path) == KEPT


def test_the_series_that_is_named_is_read(tmp_path: Path) -> None:
    dose = {"uid": "1.2.3.999", "sop_class": XRayRadiationDoseSRStorage}
    write_header(tmp_path / "ct" / "0.dcm", {"Manufacturer": "Philips"}, **dose)
    write_header(tmp_path / "ct" / "1.dcm", {"KVP": "100"}, uid="1.2.3.111")
    write_header(tmp_path / "ct" / "2.dcm", {"KVP": "140"}, uid="1.2.3.222")
    assert acquisition_of(tmp_path / "ct")["kvp"] == 100  # a CT slice before a dose report
    assert acquisition_of(tmp_path / "ct", "222")["kvp"] == 140
    assert acquisition_of(tmp_path / "ct", "333") == {}


def test_the_volume_that_is_read_is_described(tmp_path: Path) -> None:
    """Two phases under one UID, in one folder: either, if named, or else what the rules choose."""
    for number, (phase, kvp) in enumerate({"arteriell": "100", "portalvenoes": "80"}.items()):
        said = {"KVP": kvp, "SeriesDescription": phase, "AcquisitionNumber": number + 1}
        write_series(tmp_path / phase, [0.0, 2.0, 4.0, 6.0], "1.2.3.777", **said)
        (tmp_path / "ct").mkdir(exist_ok=True)
        for path in (tmp_path / phase).iterdir():
            path.rename(tmp_path / "ct" / f"{number}{path.name}")
    assert acquisition_of(tmp_path / "ct", "777#1")["kvp"] == 100
    assert acquisition_of(tmp_path / "ct", "777#2")["kvp"] == 80
    assert acquisition_of(tmp_path / "ct")["kvp"] == 80
    assert acquisition_of(tmp_path / "ct", "777#3") == {}


def test_odd_files_have_no_acquisition(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "odd"
    whole = write_header(folder / "whole.dcm", SOMATOM).read_bytes()
    for cut in range(0, len(whole), 7):
        path = folder / "cut.dcm"
        path.write_bytes(whole[:cut])
        assert set(acquisition_of(path)) <= set(KEPT)
        path.write_bytes(whole[:cut] + b"\xff\xfe\xfd" + whole[cut + 3 :])
        assert set(acquisition_of(path)) <= set(KEPT)
    (folder / "scan.nii.gz").write_bytes(b"\x1f\x8b")
    assert acquisition_of(folder / "scan.nii.gz") == {}
    assert acquisition_of(tmp_path / "gone") == {}
    deflated = pydicom.uid.DeflatedExplicitVRLittleEndian
    assert acquisition_of(write_header(folder / "bomb.dcm", SOMATOM, syntax=deflated)) == {}
    assert capfd.readouterr() == ("", "")


def test_the_table_has_all_columns_and_the_same_bytes(tmp_path: Path) -> None:
    rows = [{"patient_id": "P1", "scan_id": "base", **KEPT}, {"patient_id": "P2", "scan_id": ""}]
    write_acquisition(tmp_path / "acquisition.csv", rows)
    assert (tmp_path / "acquisition.csv").read_text(encoding="utf-8") == (
        "patient_id,scan_id,manufacturer,manufacturer_model_name,kvp,tube_current_ma,exposure_mas,"
        "convolution_kernel,slice_thickness_mm,spacing_between_slices_mm,pixel_spacing_mm,"
        "reconstruction_diameter_mm,contrast_bolus_agent,patient_position\n"
        "P1,base,Siemens,SOMATOM Definition AS+,120.0,215.0,107.0,Br40d/3,2.5,-2.5,0.9765625,500.0,"
        "yes,HFS\n"
        "P2,,,,,,,,,,,,,\n"
    )
    with pytest.raises(ValueError, match=r"not columns of acquisition\.csv: PatientName"):
        write_acquisition(tmp_path / "acquisition.csv", [{"PatientName": "DOE^JOHN"}])
    assert [path.name for path in tmp_path.iterdir()] == ["acquisition.csv"]


@pytest.mark.usefixtures("in_process")
def test_a_command_writes_a_row_for_every_scan(tmp_path: Path, block: sitk.Image) -> None:
    """In the table's order, once for all regions; cells of what is not DICOM are empty."""
    texts = {"Manufacturer": "SIEMENS DOE", "KVP": "120", "PatientBirthDate": "19470312"}
    for name in ("b", "d"):
        write_series(tmp_path / "ct" / name, [0.0, 2.0, 4.0], "1.2.826.1", **texts)
    write_scan(block, tmp_path / "ct" / "a.nii.gz")
    (tmp_path / "ct" / "c.nii").write_text("damaged")
    words = ["--roi", "x=1", "--roi", "y=2", "--config", "pyradiomics_default", "--quiet"]
    code, _, _ = call("extract", tmp_path / "ct", "--out", tmp_path / "out", *words)
    assert code == 1  # there are no masks
    text = (tmp_path / "out" / "acquisition.csv").read_text(encoding="utf-8")
    assert not any(secret in text for secret in ("DOE", "Doe", "1947"))
    table = pd.read_csv(tmp_path / "out" / "acquisition.csv", dtype=str, keep_default_na=False)
    found = table[["patient_id", "scan_id", "manufacturer", "kvp"]].to_numpy().tolist()
    empty, full = ["", "", ""], ["", "Siemens", "120.0"]
    assert found == [["a", *empty], ["b", *full], ["c", *empty], ["d", *full]]
    for name in ("b", "d"):
        shutil.rmtree(tmp_path / "ct" / name)
    call("extract", tmp_path / "ct", "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out" / "acquisition.csv").exists()


def test_a_real_header(data: Path) -> None:
    found = acquisition_of(data / "totalseg" / "example_ct_dicom")
    assert (found["manufacturer"], found["manufacturer_model_name"]) == (
        "Siemens",
        "Biograph40 mCT",
    )
    assert (found["kvp"], found["convolution_kernel"]) == (120.0, "Br38f/3")


def test_a_scan_that_is_no_dicom_does_not_wait_for_pydicom(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from pancseg.processing.acquisition import acquisition_of
assert acquisition_of(Path("scan.nii.gz")) == {}
assert "pydicom" not in sys.modules
"""
    (tmp_path / "scan.nii.gz").write_bytes(b"\x1f\x8b" + bytes(400))
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=tmp_path, env=child_environment(), check=True)
