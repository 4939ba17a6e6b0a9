"""Each broken scan ends in a right result or in a reason, in bounded time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small_files as small
from broken_files import BROKEN, RIGHT
from typer.testing import CliRunner

from pancseg.cli import app

HERE = Path(__file__).parent
MOST_SECONDS = 8.0
MOST_BYTES = 120 << 20


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
    """Also on their way through a command: nothing is lost, and nothing lies outside of OUT."""
    lines, wanted = ["patient_id,image"], []
    for number, (name, (maker, becomes)) in enumerate(BROKEN.items()):
        place = tmp_path / "scans" / str(number)
        place.mkdir(parents=True)
        path = str(maker(place))
        if "\0" not in path and os.path.exists(path) and "bomb" not in name:
            lines.append(f"P{number},{path}")
            wanted.append((f"P{number}", becomes))
    (tmp_path / "m.csv").write_text("\n".join(lines))
    before = {(p, p.lstat().st_mtime_ns) for p in tmp_path.rglob("*") if p != tmp_path}
    done = CliRunner().invoke(
        app, ["check", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 1
    table = pd.read_csv(tmp_path / "out" / "check.csv", keep_default_na=False)
    assert table["patient_id"].tolist() == [name for name, _ in wanted]
    assert set(table["qc_status"]) <= {"pass", "warn", "fail"}
    for reasons, (_, becomes) in zip(table["qc_reasons"], wanted, strict=True):
        assert becomes == RIGHT or reasons == becomes
    after = {(p, p.lstat().st_mtime_ns) for p in tmp_path.rglob("*") if "out" not in p.parts}
    assert after == before
