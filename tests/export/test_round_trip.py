"""What is exported and given as a mask again measures the same; also from an enhanced CT."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import read_back
import SimpleITK as sitk
from command_line import call
from dicom_patient import IDENTITY, UID, patient
from export_cohort import SETTINGS, region
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian

import pancseg
from pancseg import Case, RunOptions
from pancseg.export.dicom_seg import write_seg
from pancseg.export.rtstruct import write_rtstruct
from pancseg.export.scan import ExportedRegion, ExportedScan
from pancseg.review.look import BY_PERSON
from pancseg.running.drawn import note_corrected
from pancseg.running.keys import of_given_mask
from pancseg.scans.arrays import image_like
from pancseg.scans.reading import read_scan

REGIONS = ("pancreas", "tumour")


@pytest.mark.parametrize("mask", ["dicom-seg/P1.dcm", "rtstruct/P1.dcm", "slicer/P1.seg.nrrd"])
def test_an_export_given_as_a_mask_measures_the_same(
    exported: Path, scans: Path, tmp_path: Path, mask: str
) -> None:
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    (tmp_path / "cohort.csv").write_text(
        f"patient_id,image,mask\nP1,{scans / 'P1'},{exported / mask}\n"
    )
    rois = [part for name in REGIONS for part in ("--roi", f"{name}={name}")]
    settings = ("--config", tmp_path / "settings.yaml", "--workers", "0")
    assert (
        call("extract", tmp_path / "cohort.csv", "--out", tmp_path / "out", *settings, *rois)[0]
        == 0
    )
    again = pd.read_csv(tmp_path / "out" / "features.csv")
    first = pd.read_csv(exported.parent / "features.csv").query("patient_id == 'P1'")
    measured = [name for name in first if name.startswith(("original_", "log_"))]
    assert len(measured) == 6
    assert again["mask_sha256"].tolist() == first["mask_sha256"].tolist()
    np.testing.assert_allclose(again[measured], first[measured], rtol=1e-9)


@pytest.fixture(scope="module")
def enhanced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The patient as one file with several frames, which are in no order."""
    path = tmp_path_factory.mktemp("enhanced") / "ct.dcm"
    image = patient().image
    voxels, axes = sitk.GetArrayFromImage(image), np.reshape(image.GetDirection(), (3, 3))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = EnhancedCTImageStorage, "1.2.9"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ct = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    ct.SOPClassUID, ct.SOPInstanceUID, ct.Modality = EnhancedCTImageStorage, "1.2.9", "CT"
    ct.SeriesInstanceUID, ct.StudyInstanceUID = UID, f"{UID}.1"
    for keyword, value in IDENTITY.items():
        setattr(ct, keyword, value)
    ct.NumberOfFrames, ct.Rows, ct.Columns = voxels.shape
    ct.SamplesPerPixel, ct.PhotometricInterpretation = 1, "MONOCHROME2"
    ct.BitsAllocated, ct.BitsStored, ct.HighBit, ct.PixelRepresentation = 16, 16, 15, 1
    shared, turn, measures, scale = (Dataset() for _ in range(4))
    turn.ImageOrientationPatient = [round(float(v), 10) for v in axes.T[:2].ravel()]
    x_mm, y_mm, gap_mm = image.GetSpacing()
    measures.PixelSpacing, measures.SliceThickness = [y_mm, x_mm], gap_mm
    scale.RescaleSlope, scale.RescaleIntercept = 1, 0
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turn], [measures]
    shared.PixelValueTransformationSequence = [scale]
    ct.SharedFunctionalGroupsSequence, groups = [shared], []
    order = np.random.default_rng(2).permutation(len(voxels))
    for z in order.tolist():
        place, group = Dataset(), Dataset()
        position = image.TransformIndexToPhysicalPoint((0, 0, z))
        place.ImagePositionPatient = [round(float(mm), 8) for mm in position]
        group.PlanePositionSequence = [place]
        groups.append(group)
    ct.PerFrameFunctionalGroupsSequence = groups
    ct.PixelData = voxels[order].astype(np.int16).tobytes()
    ct.save_as(path, enforce_file_format=True)
    return path


def of_network(image: Path) -> ExportedScan:
    """The regions as if the network had made them."""
    regions = [ExportedRegion(name, "monet_open", region(name)) for name in REGIONS]
    about = {"weights": {"name": "monet_open", "sha256": "ab" * 32}, "versions": {"pancseg": "9.8"}}
    return ExportedScan(Case("P1", image), read_scan(image), tuple(regions), about)


def test_frames_of_an_enhanced_ct_are_referred_to_one_by_one(
    enhanced: Path, tmp_path: Path
) -> None:
    scan = of_network(enhanced)
    assert (sitk.GetArrayFromImage(scan.image) == sitk.GetArrayFromImage(patient().image)).all()
    write_seg(scan, tmp_path)
    write_rtstruct(scan, tmp_path)
    for name in REGIONS:
        segments = read_back.segments(tmp_path / "dicom-seg" / "P1.dcm", scan.image)
        assert (segments[name] == region(name)).all()
        contours = read_back.contoured(tmp_path / "rtstruct" / "P1.dcm", scan.image)
        assert (contours[name] == region(name)).all()
    source = pydicom.dcmread(enhanced)
    heights = [g.PlanePositionSequence[0].ImagePositionPatient[2]
               for g in source.PerFrameFunctionalGroupsSequence]  # fmt: skip
    for roi in pydicom.dcmread(tmp_path / "rtstruct" / "P1.dcm").ROIContourSequence:
        for contour in roi.ContourSequence:
            frame = contour.ContourImageSequence[0].ReferencedFrameNumber
            assert float(contour.ContourData[2]) == pytest.approx(heights[frame - 1], abs=1e-5)
    for groups in pydicom.dcmread(
        tmp_path / "dicom-seg" / "P1.dcm"
    ).PerFrameFunctionalGroupsSequence:
        place = groups.PlanePositionSequence[0].ImagePositionPatient
        derived = groups.DerivationImageSequence[0].SourceImageSequence[0]
        assert heights[derived.ReferencedFrameNumber - 1] == place[2]


def test_masks_of_the_network_name_its_weights(enhanced: Path, tmp_path: Path) -> None:
    write_seg(of_network(enhanced), tmp_path)
    for segment in pydicom.dcmread(tmp_path / "dicom-seg" / "P1.dcm").SegmentSequence:
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("pancseg", "9.8")
        parameters = "".join(algorithm.AlgorithmParameters)
        assert parameters == f"weights=monet_open,weights_sha256={'ab' * 32}"


def test_a_given_mask_that_a_person_corrected_is_exported_as_it_is_now(tmp_path: Path) -> None:
    """The viewer notes by content whose region it corrected in the file that was given."""
    image, mask = patient()
    scan, drawn = tmp_path / "P2.nii.gz", tmp_path / "m.nii.gz"
    pancseg.write_scan(image, scan)
    pancseg.write_scan(mask, drawn)
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    out, case = tmp_path / "out", Case("P2", scan, mask=drawn, mask_label=2)

    def measured() -> str:
        (row,) = pancseg.extract_cohort(
            [case], out, settings=tmp_path / "settings.yaml", options=RunOptions(workers=0),
            pictures=False,
        )  # fmt: skip
        return str(row.values["qc_mask_source"])

    assert measured() == "given"
    before = of_given_mask(drawn)
    voxels = sitk.GetArrayFromImage(mask)
    voxels[np.argwhere(voxels == 2)[0][0]] = 0
    pancseg.write_scan(image_like(voxels, mask), drawn)
    note_corrected(out / ".pancseg", case.key, before, of_given_mask(drawn))
    assert measured() == "corrected"
    assert pancseg.export_output(out, ["bids"], [case]).written == {"bids": 1}
    (about,) = (out / "export").rglob("sub-P2*_dseg.json")
    assert json.loads(about.read_text())["Manual"] is True
    (found,) = (out / "export").rglob("sub-P2*_dseg.nii.gz")
    assert int((sitk.GetArrayFromImage(sitk.ReadImage(str(found))) != 0).sum()) == int(
        (voxels == 2).sum()
    )


@pytest.mark.parametrize("source", [*sorted(BY_PERSON), "monet_open"])
def test_whose_work_a_mask_is(source: str) -> None:
    region = ExportedRegion("pancreas", source, np.ones((1, 1, 1), bool))
    assert region.by_person is (source != "monet_open")
