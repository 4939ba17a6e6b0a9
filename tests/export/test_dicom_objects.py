"""Segmentations, reports and structure sets: right to the voxel, and with the right names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pydicom
import pytest
import read_back
import SimpleITK as sitk
from dicom_patient import IDENTITY, NAME, UID, patient
from export_cohort import region

REGIONS = ("pancreas", "tumour")
OBJECTS = ("dicom-seg", "dicom-sr", "rtstruct")


def read(exported: Path, target: str) -> pydicom.Dataset:
    return pydicom.dcmread(exported / target / "P1.dcm")


@pytest.mark.parametrize("name", REGIONS)
def test_segments_are_the_regions(exported: Path, name: str) -> None:
    found = read_back.segments(exported / "dicom-seg" / "P1.dcm", patient().image)
    assert (found[name] == region(name)).all()


@pytest.mark.parametrize("name", REGIONS)
def test_contours_are_the_regions(exported: Path, name: str) -> None:
    found = read_back.contoured(exported / "rtstruct" / "P1.dcm", patient().image)
    assert (found[name] == region(name)).all()


def test_the_report_has_every_value_of_the_table(exported: Path) -> None:
    table = pd.read_csv(exported.parent / "features.csv").query("patient_id == 'P1'")
    found = read_back.values(exported / "dicom-sr" / "P1.dcm")
    assert list(found) == table["roi"].tolist() == list(REGIONS)
    for row in table.to_dict("records"):
        own = found[row["roi"]]
        columns = [name for name in row if name.startswith(("original_", "log_"))]
        assert len(own) == len(columns) + 2
        for (_, method), (value, _) in own.items():
            if method.startswith("99PANCSEG"):
                name = method.removeprefix("99PANCSEG ")
                assert value == pytest.approx(row[safe(name)], rel=1e-12), name
        assert own["SCT 118565006", ""][0] == pytest.approx(row["qc_volume_ml"])
        mean = sitk.GetArrayFromImage(patient().image)[region(row["roi"])].mean()
        assert own["DCM 112031", "SCT 373098007"] == (pytest.approx(mean), "[hnsf'U]")


def safe(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


def test_values_are_coded_by_ibsi_where_they_are_its(exported: Path) -> None:
    found = read_back.values(exported / "dicom-sr" / "P1.dcm")["pancreas"]
    by_method = {method.removeprefix("99PANCSEG "): code for code, method in found}
    units = {method.removeprefix("99PANCSEG "): unit for (_, method), (_, unit) in found.items()}
    assert by_method["original_firstorder_Mean"] == "IBSI Q4LE"
    assert by_method["log-sigma-6-0-mm-3D_firstorder_Mean"] == "IBSI Q4LE"
    assert by_method["original_shape_MeshVolume"] == "IBSI RNU0"
    own = "original_shape_Maximum2DDiameterSlice"
    assert by_method[own] == f"99PANCSEG {own}"
    assert units["original_shape_MeshVolume"] == "mm3"
    assert units["original_firstorder_Mean"] == "[hnsf'U]"
    assert units["original_firstorder_Energy"] == "[hnsf'U]2"
    assert units["log-sigma-6-0-mm-3D_firstorder_Mean"] == "[arb'U]"


def test_the_report_points_at_the_segments(exported: Path) -> None:
    seg, report = read(exported, "dicom-seg"), read(exported, "dicom-sr")
    text = str(report)
    assert seg.SOPInstanceUID in text
    numbers = [e.value for e in report.iterall() if e.keyword == "ReferencedSegmentNumber"]
    assert numbers == [1, 2]
    tracked = {s.SegmentLabel: s.TrackingUID for s in seg.SegmentSequence}
    assert all(uid in text for uid in tracked.values())


def test_segments_say_what_they_are_and_who_drew_them(exported: Path) -> None:
    pancreas, tumour = read(exported, "dicom-seg").SegmentSequence
    assert pancreas.SegmentedPropertyTypeCodeSequence[0].CodeValue == "15776009"
    assert tumour.SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"
    assert tumour.AnatomicRegionSequence[0].CodeValue == "15776009"
    assert {pancreas.SegmentAlgorithmType, tumour.SegmentAlgorithmType} == {"MANUAL"}


@pytest.mark.parametrize("target", OBJECTS)
def test_patient_and_study_are_those_of_the_series(
    exported: Path, scans: Path, target: str
) -> None:
    made = read(exported, target)
    source = pydicom.dcmread(next((scans / "P1").iterdir()))
    assert str(made.PatientName) == NAME
    for keyword, value in IDENTITY.items():
        if keyword not in ("SpecificCharacterSet", "PositionReferenceIndicator"):
            found = made.get(keyword)
            assert target == "dicom-sr" or str(found) == value, keyword
    assert made.StudyInstanceUID == source.StudyInstanceUID
    assert made.SeriesInstanceUID not in (UID, *others(exported, target))
    assert UID in str(made), "the source series is referred to"


def others(exported: Path, target: str) -> list[str]:
    return [read(exported, other).SeriesInstanceUID for other in OBJECTS if other != target]


@pytest.mark.parametrize("target", OBJECTS)
def test_every_referred_image_is_one_of_the_series(
    exported: Path, scans: Path, target: str
) -> None:
    made = read(exported, target)
    own = {read(exported, each).SOPInstanceUID for each in OBJECTS}
    referred = {e.value for e in made.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
    files = (scans / "P1").iterdir()
    images = {pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in files}
    study = {made.StudyInstanceUID}
    assert referred & images
    assert referred <= images | own | study


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("target", OBJECTS)
def test_dicom3tools_find_no_error(exported: Path, target: str) -> None:
    said = run("dciodvfy", "-new", exported / target / "P1.dcm").splitlines()
    assert not [line for line in said if line.startswith("Error")]
    assert {"dicom-seg": "Segmentation", "dicom-sr": "Comprehensive3DSR"}.get(
        target, "RTStructureSet"
    ) in said


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("target", OBJECTS)
def test_dcmtk_reads_every_object(exported: Path, target: str) -> None:
    path = exported / target / "P1.dcm"
    assert "SOPInstanceUID" in run("dcmdump", path)
    if target == "dicom-sr":
        assert 'NUM:(Q4LE,IBSI,"Mean intensity")' in run("dsrdump", "+Pc", path)


@pytest.mark.skipif(shutil.which("plastimatch") is None, reason="plastimatch is not installed")
@pytest.mark.parametrize("name", REGIONS)
def test_plastimatch_fills_the_contours_to_the_voxel(
    exported: Path, scans: Path, tmp_path: Path, name: str
) -> None:
    arguments = ("--input", exported / "rtstruct" / "P1.dcm", "--referenced-ct", scans / "P1")
    run("plastimatch", "convert", *arguments, "--output-prefix", tmp_path / "filled")
    (file,) = (tmp_path / "filled").glob(f"{name}.*")
    filled = sitk.Resample(
        sitk.ReadImage(str(file)), patient().image, sitk.Transform(), sitk.sitkNearestNeighbor
    )
    assert ((sitk.GetArrayFromImage(filled) > 0) == region(name)).all()


def run(*arguments: str | Path) -> str:
    done = subprocess.run(
        [str(a) for a in arguments], capture_output=True, text=True, errors="replace", check=False
    )
    said = done.stdout + done.stderr
    assert not [line for line in said.splitlines() if line.startswith("E:")], said
    return said
