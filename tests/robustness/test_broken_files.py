"""Each broken scan ends in a right result or in a reason, in bounded time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small_files as small
from broken_files import BROKEN, RIGHT
from numpy.typing import NDArray
from typer.testing import CliRunner

from pancseg import read_scan
from pancseg.cli import app
from pancseg.scans.dicom.header import DicomHeader
from pancseg.scans.dicom.pixels import stored_pixels
from pancseg.scans.reading import slice_thickness_mm

HERE = Path(__file__).parent
MOST_SECONDS = 30.0
MOST_BYTES = 120 << 20
WORDS = ("--memory", "1.2GB", "--workers", "1")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What became of each: all are read by one process, and by the next one where it died."""
    folder = tmp_path_factory.mktemp("broken")
    names, paths = list(BROKEN), []
    for number, name in enumerate(names):
        place = folder / str(number)
        place.mkdir()
        paths.append(str(BROKEN[name][0](place)))
    found: list[dict[str, Any]] = []
    while len(found) < len(paths):
        command = [sys.executable, str(HERE / "read_each.py")]
        wanted = json.dumps(paths[len(found) :])
        run = subprocess.run(
            command, input=wanted, capture_output=True, text=True, cwd=HERE.parents[1],
            env={"PYTHONPATH": str(HERE.parents[1])},
        )  # fmt: skip
        found += [json.loads(line) for line in run.stdout.splitlines()]
        if len(found) < len(paths):
            found.append({"code": "died", "fact": f"{run.returncode} {run.stderr[-2000:]}"})
    return {
        name: {**one, "path": path} for name, one, path in zip(names, found, paths, strict=True)
    }


def test_there_are_many_of_them() -> None:
    assert len(BROKEN) >= 120
    assert 15 <= sum(becomes == RIGHT for _, becomes in BROKEN.values()) < len(BROKEN) / 2


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_scan_is_read_rightly_or_refused(
    name: str, results: dict[str, dict[str, Any]]
) -> None:
    found, becomes = results[name], BROKEN[name][1]
    assert found["code"] == ("read" if becomes == RIGHT else becomes), found.get("fact")
    if becomes == RIGHT:
        expected = small.voxels()
        if name.startswith("dicom"):
            expected = np.stack([small.stored(i).astype(np.int16) - 1024 for i in range(5)])
        assert found["axes"] == 3
        np.testing.assert_allclose(found["voxels"], expected.ravel())
        np.testing.assert_allclose(found["spacing"], (0.75, 0.8, 2.5), rtol=1e-6)
    else:
        assert "\n" not in found["fact"]
        assert found["path"] not in found["fact"]
        assert "DOE" not in found["fact"]
    assert found["seconds"] < MOST_SECONDS
    assert found["bytes"] < max(found["promised"], MOST_BYTES)


def test_a_cohort_of_broken_scans_has_a_row_for_each(tmp_path: Path) -> None:
    """Also on their way through a command: nothing is lost, and nothing lies outside of OUT.

    The bombs among them too; the honest one, a gigabyte, is what --memory refuses.
    """
    lines, wanted = ["patient_id,image"], []
    for number, (maker, becomes) in enumerate(BROKEN.values()):
        place = tmp_path / "scans" / str(number)
        place.mkdir(parents=True)
        path = str(maker(place))
        if "\0" not in path:
            lines.append(f"P{number},{path}")
            wanted.append((f"P{number}", becomes))
    (tmp_path / "m.csv").write_text("\n".join(lines))
    before = {(p, p.lstat().st_mtime_ns) for p in tmp_path.rglob("*") if p != tmp_path}
    done = CliRunner().invoke(
        app, ["check", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out"), *WORDS]
    )
    assert done.exit_code == 1
    table = pd.read_csv(tmp_path / "out" / "check.csv", keep_default_na=False)
    assert table["patient_id"].tolist() == [name for name, _ in wanted]
    assert set(table["qc_status"]) <= {"pass", "warn", "fail"}
    for reasons, (_, becomes) in zip(table["qc_reasons"], wanted, strict=True):
        assert becomes == RIGHT or reasons == becomes
    assert set(table["qc_reasons"]) >= {"memory", "unreadable"}
    after = {(p, p.lstat().st_mtime_ns) for p in tmp_path.rglob("*") if "out" not in p.parts}
    assert after == before


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory are Linux's")
@pytest.mark.parametrize("how", ["RLE", "JPEG", "JPEG2000"])
def test_packed_frames_lie_on_no_disk(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed or given up leaves no frame of anybody in a temporary folder."""
    small.write_slices(tmp_path / "ct", lambda d, _: small.packed(d, how, tmp_path))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    seen: list[list[Path]] = []
    unpack = stored_pixels

    def seeing(header: DicomHeader, frame: int, scratch: Path) -> NDArray[Any]:
        found = unpack(header, frame, scratch)
        seen.append(list((tmp_path / "tmp").iterdir()))
        return found

    monkeypatch.setattr("pancseg.scans.dicom.series.stored_pixels", seeing)
    assert read_scan(tmp_path / "ct").GetSize() == (12, 16, 5)
    assert seen == [[]] * 5


def test_the_frames_of_an_enhanced_ct_say_how_thick_they_are(tmp_path: Path) -> None:
    dataset = small.enhanced()
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SliceThickness = 6
    dataset.save_as(tmp_path / "ct.dcm", enforce_file_format=True)
    assert slice_thickness_mm(read_scan(tmp_path)) == 6
