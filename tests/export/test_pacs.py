"""From an archive and back to it: a real Orthanc, by the lines of docs/how-to/back-to-pacs.md."""

from __future__ import annotations

import shlex
from pathlib import Path

import orthanc
import pandas as pd
import pydicom
import pytest
import read_back
from command_line import call
from conftest import ROOT
from dicom_patient import IDENTITY, NAME, UID, patient, write_dicom
from export_cohort import SETTINGS, region

import pancseg

pytestmark = pytest.mark.skipif(
    not orthanc.AVAILABLE, reason="orthanc, orthanc-dicomweb or dcmtk is not installed"
)


PAGE = ROOT / "docs" / "how-to" / "back-to-pacs.md"


def test_a_study_comes_out_and_the_results_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the lines of the page; the run is given a mask, so that its voxels are known."""
    monkeypatch.chdir(tmp_path)
    write_dicom(patient().image, tmp_path / "scanner")
    block = (
        PAGE.read_text("utf-8").split("## Fetch a study")[1].split("```bash\n")[1].split("```")[0]
    )
    fetch, series, run, export, send = map(shlex.split, block.splitlines())
    with orthanc.running(tmp_path / "orthanc") as archive:
        first, *others = sorted((tmp_path / "scanner").iterdir())
        archive.stow(first)
        archive.send(*others)
        (study,) = archive.find("Study", AccessionNumber=IDENTITY["AccessionNumber"])
        assert fetch[2:3] == ["http://127.0.0.1:8042/studies/$STUDY/archive"]
        archive.unpack(f"/studies/{study}/archive", tmp_path / fetch[-1])
        assert call(*series[1:])[0] == 0
        assert call(*run[1:], *given_mask(tmp_path))[0] == 0
        assert call(*export[1:])[0] == 0
        assert send[-3:] == ["127.0.0.1", "4242", "results/export/*/*.dcm"]
        orthanc.run([*send[:-2], str(archive.dicom), *map(str, tmp_path.glob(send[-1]))])

        back = fetched(archive, study, tmp_path)
        assert set(back) == {"CT", "SEG", "SR", "RTSTRUCT"}
        for found in (
            read_back.segments(back["SEG"], patient().image),
            read_back.contoured(back["RTSTRUCT"], patient().image),
        ):
            assert set(found) == {"pancreas", "tumour"}
            assert all((voxels == region(name)).all() for name, voxels in found.items())
        assert_values(tmp_path / "results", back["SR"])
        assert_web_query(archive, pydicom.dcmread(back["SEG"]))


def given_mask(base: Path) -> list[str | Path]:
    """Return the options by which ``run`` measures a mask of the one scan of the manifest."""
    (line,) = pd.read_csv(base / "manifest.csv").to_dict("records")
    (base / "masks").mkdir()
    name = f"{line['patient_id']}_{line['scan_id']}"
    pancseg.write_scan(patient().mask, base / "masks" / f"{name}.nii.gz")
    (base / "settings.yaml").write_text(SETTINGS)
    masks = ["--masks", base / "masks", "--roi", "pancreas=1,2", "--roi", "tumour=2"]
    return [*masks, "--config", base / "settings.yaml", "--workers", "0", "--no-report",
            "--weights", "monet_phantom"]  # fmt: skip


def fetched(archive: orthanc.Archive, study: str, base: Path) -> dict[str, Path]:
    """Fetch an instance of each series of the study, which is still the only one."""
    assert archive.json("/studies") == [study]
    assert len(archive.json("/patients")) == 1
    found = {}
    for series in archive.json(f"/studies/{study}/series"):
        modality = series["MainDicomTags"]["Modality"]
        path = base / f"{modality}.dcm"
        path.write_bytes(archive.get(f"/instances/{series['Instances'][0]}/file"))
        found[modality] = path
    return found


def assert_values(out: Path, report: Path) -> None:
    table = pd.read_csv(out / "features.csv").set_index("roi")
    for name, own in read_back.values(report).items():
        for (_, method), (value, _) in own.items():
            if method.startswith("99PANCSEG"):
                column = method.removeprefix("99PANCSEG ").replace("-", "_")
                assert value == pytest.approx(table.loc[name, column], rel=1e-12)
    assert str(pydicom.dcmread(report).PatientName) == NAME


def assert_web_query(archive: orthanc.Archive, seg: pydicom.Dataset) -> None:
    """DICOMweb finds segments and report beside the series, under the patient's name."""
    where = f"/dicom-web/studies/{seg.StudyInstanceUID}/series"
    found = archive.json(f"{where}?includefield=SeriesDescription")
    by_modality = {each["00080060"]["Value"][0]: each["0020000E"]["Value"][0] for each in found}
    assert by_modality["CT"] == UID
    assert by_modality["SEG"] == seg.SeriesInstanceUID
    assert archive.find("Series", Modality="SR", PatientName=NAME)
    assert len(set(by_modality.values())) == 4
