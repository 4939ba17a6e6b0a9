"""3D Slicer's segmentations and BIDS derivatives: right to the voxel, and as others expect them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from dicom_patient import patient
from export_cohort import region

from pancseg import Case
from pancseg.export.scan import ExportedRegion, ExportedScan
from pancseg.export.slicer import write_slicer
from pancseg.features.regions import region_of
from pancseg.scans.arrays import voxel_array
from pancseg.scans.masks import read_mask
from pancseg.scans.segments import segments_of

REGIONS = ("pancreas", "tumour")
VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")


@pytest.mark.parametrize("name", REGIONS)
@pytest.mark.parametrize("patient_id", ["P1", "P2"])
def test_our_own_reader_reads_the_segments_by_name(
    exported: Path, name: str, patient_id: str
) -> None:
    mask = read_mask(exported / "slicer" / f"{patient_id}.seg.nrrd")
    assert [segment.name for segment in segments_of(mask)] == list(REGIONS)
    found = region_of(mask, name).image
    assert (voxel_array(found).astype(bool) == region(name)).all()
    assert found.GetOrigin() == pytest.approx(patient().image.GetOrigin())
    assert found.GetSpacing() == pytest.approx(patient().image.GetSpacing())
    assert found.GetDirection() == pytest.approx(patient().image.GetDirection())


def test_simpleitk_reads_a_layer_for_each_region_that_overlaps(exported: Path) -> None:
    read = sitk.ReadImage(str(exported / "slicer" / "P1.seg.nrrd"))
    layers = sitk.GetArrayFromImage(read)
    assert read.GetNumberOfComponentsPerPixel() == 2
    for number, name in enumerate(REGIONS):
        assert (layers[..., number].astype(bool) == region(name)).all()
        assert read.GetMetaData(f"Segment{number}_Name") == name
        assert read.GetMetaData(f"Segment{number}_Layer") == str(number)
        red, green, blue = map(float, read.GetMetaData(f"Segment{number}_Color").split())
        assert 0 <= min(red, green, blue) < max(red, green, blue) <= 1
        ends = np.array(read.GetMetaData(f"Segment{number}_Extent").split(), int).reshape(3, 2)
        x, y, z = (slice(a, b + 1) for a, b in ends)
        assert region(name)[z, y, x].sum() == region(name).sum()
    assert "SCT^15776009^Pancreas" in read.GetMetaData("Segment0_Tags")


def test_regions_that_do_not_overlap_share_a_layer(tmp_path: Path) -> None:
    apart = [ExportedRegion("a", "given", region("tumour")),
             ExportedRegion("b", "given", region("pancreas") & ~region("tumour"))]  # fmt: skip
    scan = ExportedScan(Case("P1", Path("ct")), patient().image, tuple(apart), {})
    write_slicer(scan, tmp_path)
    read = sitk.ReadImage(str(tmp_path / "slicer" / "P1.seg.nrrd"))
    assert read.GetNumberOfComponentsPerPixel() == 1
    voxels = sitk.GetArrayFromImage(read)
    assert [(voxels == value).sum() for value in (1, 2)] == [r.voxels.sum() for r in apart]


@pytest.mark.parametrize("name", REGIONS)
def test_a_bids_file_holds_one_region(exported: Path, name: str) -> None:
    table = pd.read_csv(exported / "bids" / "dseg.tsv", sep="\t").set_index("name")
    for patient_id in ("P1", "P2"):
        stem = f"sub-{patient_id}_desc-{name}_dseg"
        folder = exported / "bids" / f"sub-{patient_id}" / "anat"
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{stem}.nii.gz")))
        assert ((voxels == table.loc[name, "index"]) == region(name)).all()
        assert set(np.unique(voxels)) == {0, table.loc[name, "index"]}
        assert json.loads((folder / f"{stem}.json").read_text())["Manual"] is True


def test_bids_participants_are_those_of_the_table(exported: Path) -> None:
    people = pd.read_csv(exported / "bids" / "participants.tsv", sep="\t")
    assert people.to_dict("list") == {
        "participant_id": ["sub-P1", "sub-P2"],
        "patient_id": ["P1", "P2"],
    }
    about = json.loads((exported / "bids" / "dataset_description.json").read_text())
    assert about["DatasetType"] == "derivative"
    assert about["GeneratedBy"][0]["Name"] == "pancseg"


def test_the_bids_validator_finds_no_error(exported: Path) -> None:
    """The validator of BIDS's schema; the older one of npm knows no names of derivatives."""
    done = subprocess.run(
        [VALIDATOR, "--json", str(exported / "bids")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert done.returncode == 0
