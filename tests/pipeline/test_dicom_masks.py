"""A DICOM SEG is measured as the same mask in NIfTI is, however it is given or found."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from command_line import call
from dicom_seg import frames_of, write_ct, write_seg
from pydicom.dataset import FileDataset

from pancseg import measure, read_cohort, read_scan, write_scan
from pancseg.cohort.discovery import read_cohort as discover
from pancseg.errors import CohortError
from pancseg.phantom import make_phantom
from pancseg.running import keys
from pancseg.segmentation.preprocess import Preprocessing
from pancseg.training.data.cache import build_cache
from pancseg.training.data.pairs import TrainingPair

pytestmark = pytest.mark.usefixtures("in_process")

CONFIG = """\
imageType: {Original: {}}
featureClass: {firstorder: [], shape: [], glcm: []}
setting: {binWidth: 25}
pancseg: {quality: {slice_mm: {warn_above: 20, fail_above: 20}}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patient's series, its mask as SEG (two segments, cut to its slices) and as NIfTI."""
    folder = tmp_path_factory.mktemp("patients")
    phantom = make_phantom(2, size=(96, 96, 12), spacing_mm=(3.6, 3.6, 15.0))
    pancreas = sitk.GetArrayFromImage(phantom.mask != 0)
    duct = np.roll(pancreas, 20, axis=2)
    write_ct(folder / "ct", phantom.image)
    frames = [*frames_of(1, duct), *frames_of(2, pancreas)]
    write_seg(folder / "seg.dcm", phantom.image, frames[::-1], ("duodenum", "Pancreas"))
    write_scan(sitk.Cast(phantom.mask != 0, sitk.sitkUInt8), folder / "mask.nii.gz")
    (folder / "few.yaml").write_text(CONFIG)
    return folder


@pytest.fixture
def patients(made: Path, tmp_path: Path) -> Path:
    """A cohort of one patient, with the series and the SEG in folders of their own."""
    place = tmp_path / "cohort" / "P1" / "DICOM" / "ST1"
    shutil.copytree(made / "ct", place / "SE1")
    (place / "SE2").mkdir()
    shutil.copy(made / "seg.dcm", place / "SE2" / "IM0001")
    return tmp_path / "cohort"


def _measured(row: pd.Series) -> pd.Series:
    return row[[name for name in row.index if name.startswith("original_")]].astype(float)


def test_features_of_a_seg_equal_those_of_the_same_mask(made: Path) -> None:
    rows = [
        measure(made / "ct", made / mask, made / "few.yaml") for mask in ("seg.dcm", "mask.nii.gz")
    ]
    assert rows[0]["qc_mask_label"] == "pancreas"
    assert rows[0]["qc_status"] == rows[1]["qc_status"]
    assert rows[0]["mask_sha256"] == rows[1]["mask_sha256"]
    features = [name for name in rows[0] if name.startswith("original_")]
    assert len(features) > 50
    for name in features:
        assert rows[0][name] == pytest.approx(rows[1][name], rel=1e-9, abs=1e-9), name


def test_fractions_are_cut_with_a_warning(made: Path, tmp_path: Path) -> None:
    scan = read_scan(made / "ct")
    inside = sitk.GetArrayFromImage(read_scan(made / "mask.nii.gz"))
    for name, values in (("all", inside * 255), ("some", inside * 200)):
        frames = frames_of(1, values.astype(np.uint8))
        path = write_seg(tmp_path / f"{name}.dcm", scan, frames, kind="FRACTIONAL")
        row = measure(made / "ct", path, made / "few.yaml")
        cut = "not_labels" in str(row["qc_reasons"]).split(";")
        assert cut == (name == "some")
        assert row["original_firstorder_Mean"] > 0


def test_a_manifest_names_the_file_or_a_folder_that_holds_it(
    made: Path, patients: Path, tmp_path: Path
) -> None:
    lines = [
        f"nifti,{made / 'ct'},{made / 'mask.nii.gz'},",
        f"file,{made / 'ct'},{made / 'seg.dcm'},",
        f"folder,{made / 'ct'},{patients},pancreas",
        f"other,{made / 'ct'},{made / 'seg.dcm'},duodenum",
        f"wrong,{made / 'ct'},{made / 'seg.dcm'},liver",
    ]
    manifest = tmp_path / "m.csv"
    manifest.write_text("\n".join(["patient_id,image,mask,mask_label", *lines]) + "\n")
    out = tmp_path / "out"
    code, _, errors = call("extract", manifest, "--out", out, "--config", made / "few.yaml")
    assert code == 1
    assert "wrong: fail (no_label): the mask has no segment liver; it has duodenum" in errors
    table = pd.read_csv(out / "features.csv", index_col="patient_id")
    for name in ("file", "folder"):
        same = _measured(table.loc[name]) - _measured(table.loc["nifti"])
        assert same.abs().max() < 1e-9
    assert table.loc["other", "mask_sha256"] != table.loc["file", "mask_sha256"]
    assert table.loc["wrong", "qc_reasons"] == "no_label;duplicate"
    rows = [line for line in (out / "run.jsonl").read_text().splitlines() if "1.2.826" in line]
    assert not rows


def test_the_seg_beside_the_series_is_the_mask(patients: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    (case,) = discover(patients, note=notes.append)
    assert case.mask == patients / "P1" / "DICOM" / "ST1" / "SE2" / "IM0001"
    assert any(note.startswith("1 file is a mask") for note in notes)
    (single,) = read_cohort(patients / "P1")
    assert single.mask is not None
    flat = tmp_path / "flat"
    shutil.copytree(patients / "P1" / "DICOM" / "ST1" / "SE1", flat)
    shutil.copy(single.mask, flat / "seg.dcm")
    (among_slices,) = read_cohort(flat)
    assert among_slices.mask == flat / "seg.dcm"
    shutil.copy(case.mask, patients / "P1" / "another")
    with pytest.raises(CohortError, match=r"1 scan has several files that are masks .* \(P1\)"):
        read_cohort(patients)


def test_segs_of_other_organs_and_outputs_of_runs_are_no_masks(
    made: Path, patients: Path, tmp_path: Path
) -> None:
    def liver(seg: FileDataset) -> None:
        seg.SegmentSequence[0].SegmentLabel = "liver"
        seg.SegmentSequence[1].SegmentLabel = "spleen"

    place = patients / "P1" / "DICOM" / "ST1" / "SE2" / "IM0001"
    scan = sitk.Image(4, 4, 4, sitk.sitkInt16)
    write_seg(place, scan, frames_of(1, np.ones((4, 4, 4), np.uint8)), ("a", "b"), change=liver)
    exported = patients / "P1" / "out" / "dicom-seg"
    exported.mkdir(parents=True)
    (exported.parent / ".pancseg").mkdir()
    shutil.copy(made / "seg.dcm", exported / "P1.dcm")
    notes: list[str] = []
    (case,) = discover(patients, note=notes.append)
    assert case.mask is None
    assert "1 DICOM mask beside a scan names no pancreas and was left out" in notes


def test_a_folder_of_masks_may_hold_segs(made: Path, tmp_path: Path) -> None:
    (tmp_path / "ct").mkdir()
    for name in ("P1", "P2", "P3"):
        write_scan(sitk.Image(8, 8, 8, sitk.sitkInt16), tmp_path / "ct" / f"{name}.nii.gz")
    (tmp_path / "masks" / "P3" / "export").mkdir(parents=True)
    for name in ("P1.dcm", "P2_seg.dcm", "P3/export/IM1"):
        shutil.copy(made / "seg.dcm", tmp_path / "masks" / name)
    cases = read_cohort(tmp_path / "ct", tmp_path / "masks")
    assert [case.mask and case.mask.name for case in cases] == ["P1.dcm", "P2_seg.dcm", "P3"]
    shutil.copy(made / "seg.dcm", tmp_path / "masks" / "P9.dcm")
    with pytest.raises(CohortError, match=r"1 of 4 masks belong to no case \(P9.dcm\)"):
        read_cohort(tmp_path / "ct", tmp_path / "masks")


def test_the_key_of_a_mask_is_that_of_its_bytes(made: Path, patients: Path, tmp_path: Path) -> None:
    key = keys.of_given_mask(made / "seg.dcm")
    assert len(key) == 64
    assert keys.of_given_mask(patients) == key
    content = bytearray((made / "seg.dcm").read_bytes())
    content[-1] ^= 1
    (tmp_path / "changed.dcm").write_bytes(content)
    assert keys.of_given_mask(tmp_path / "changed.dcm") not in ("", key)


def test_labels_lists_the_segments_of_segs(made: Path) -> None:
    code, said, _ = call("labels", made / "seg.dcm")
    assert code == 0
    names = [line.split()[-1] for line in said.splitlines()[2:]]
    assert names == ["duodenum", "Pancreas", "pancreas"]


def test_a_network_learns_from_a_seg(made: Path, patients: Path, tmp_path: Path) -> None:
    masks = (made / "seg.dcm", patients, made / "mask.nii.gz")
    pairs = [TrainingPair("a", str(n), made / "ct", mask) for n, mask in enumerate(masks)]
    settings = Preprocessing(window_hu=(-150, 200), size=32)
    found = build_cache(pairs, tmp_path, settings)
    assert found[0].labelled.any()
    assert len({scan.sha256 for scan in found}) == 1
