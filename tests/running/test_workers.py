"""Whatever happens to a worker: one row per patient, and the others as if nothing had happened."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pancseg.case import Case
from pancseg.cohort import Outcome, read_cohort
from pancseg.pipeline import run_cohort
from pancseg.roi import parse_roi
from pancseg.rows import one_per_region
from pancseg.running import supervised
from pancseg.running.options import Options
from pancseg.running.run import Stopped
from pancseg.settings import load_feature_settings
from pancseg.work import Work

BAD = {
    "segfault": ("error", "crashed", "SIGSEGV"),
    "exit": ("error", "crashed", "exit code 7"),
    "kernel": ("error", "killed", "lack of memory"),
    "hang": ("error", "timeout", "longer than 8 s"),
    "memoryerror": ("error", "MemoryError", "unexpected MemoryError"),
    "print": ("pass", "", ""),
}


@pytest.fixture
def work(cohort: Path) -> Work:
    return Work("extract", load_feature_settings(cohort.parent / "quick.yaml"))


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Path(__file__).with_name("crashing_child.py")
    monkeypatch.setattr(supervised, "CHILD", (str(child),))


def with_own_masks(cohort: Path) -> list[Case]:
    return [case for case in read_cohort(cohort) if case.mask]


def renamed(case: Case, name: str, folder: Path) -> Case:
    """The same patient under another id, its scan in a file of that name."""
    path = folder / f"{name}.nii.gz"
    shutil.copy(case.image, path)
    return replace(case, patient_id=name, image=path)


def quietly(outcome: Outcome) -> None:
    """Report nothing."""


def test_bad_ends_cost_their_own_row_only(
    cohort: Path, work: Work, crashing: None, tmp_path: Path
) -> None:
    good = with_own_masks(cohort)
    cases = [good[0]]
    for number, name in enumerate(BAD):
        cases += [renamed(good[0], name, tmp_path), renamed(good[1], f"good{number}", tmp_path)]
    seen: list[str] = []
    outcomes = run_cohort(
        cases,
        tmp_path / "out",
        work,
        lambda outcome: seen.append(outcome.case.name),
        Options(workers=2, timeout_s=8),
    )
    assert [o.case.name for o in outcomes] == [case.name for case in cases]
    assert sorted(seen) == sorted(case.name for case in cases)
    by_name = {o.case.name: o for o in outcomes}
    for name, (status, reason, fact) in BAD.items():
        assert (by_name[name].status, by_name[name].reason) == (status, reason)
        assert fact in by_name[name].fact
    frame = pd.read_csv(tmp_path / "out" / "features.csv")
    assert list(frame["patient_id"]) == [case.name for case in cases]
    values = frame.filter(like="original_")
    usable = frame["qc_status"] == "pass"
    assert values[usable].notna().all(axis=None)
    assert values[~usable].isna().all(axis=None)
    assert values[frame["patient_id"].str.startswith("good")].nunique().eq(1).all()


def test_a_crash_in_one_region_leaves_the_scans_other_rows(
    cohort: Path, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "child.py"
    script.write_text(
        "import os, signal\n"
        "from pancseg import features\n"
        "from pancseg.running import child\n"
        "measure, done = features.measure, []\n"
        "def badly(*given):\n"
        "    done.append(1)\n"
        "    if len(done) == 2: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return measure(*given)\n"
        "features.measure = badly\n"
        "child.main()\n"
    )
    monkeypatch.setattr(supervised, "CHILD", (str(script),))
    regions = {name: parse_roi("1") for name in ("first", "second", "third")}
    cases = one_per_region(with_own_masks(cohort)[:1], regions)
    outcomes = run_cohort(cases, tmp_path / "out", work, quietly, Options(workers=1))
    assert [o.reason for o in outcomes if not o.usable] == ["crashed"]
    assert [o.case.roi for o in outcomes if o.usable] == ["first", "third"]


def test_order_and_values_do_not_depend_on_workers(
    cohort: Path, work: Work, tmp_path: Path
) -> None:
    cases = read_cohort(cohort)
    work = replace(work, command="run", weights="monet_phantom")
    tables = []
    for workers in (0, 1, 2):
        out = tmp_path / str(workers)
        run_cohort(cases, out, work, quietly, Options(workers=workers))
        masks = [path.read_bytes() for path in sorted((out / "masks").glob("*.nii.gz"))]
        tables.append([(out / "features.csv").read_bytes(), *masks])
        assert len(masks) == 2
    assert tables[0] == tables[1] == tables[2]


def test_strict_stops_at_the_first_row_that_is_not_usable(
    cohort: Path, work: Work, crashing: None, tmp_path: Path
) -> None:
    good = with_own_masks(cohort)
    cases = [renamed(good[0], "segfault", tmp_path), *good]
    out = tmp_path / "out"
    with pytest.raises(Stopped):
        run_cohort(cases, out, work, quietly, Options(workers=1, strict=True))
    assert not (out / "features.csv").exists()


def test_what_does_not_fit_into_memory_is_refused_with_the_number(
    cohort: Path, work: Work, tmp_path: Path
) -> None:
    cases = with_own_masks(cohort)[:2]
    options = Options(workers=1, memory_bytes=1_000_000)
    outcomes = run_cohort(cases, tmp_path / "out", work, quietly, options)
    assert {(o.status, o.reason) for o in outcomes} == {("fail", "memory")}
    assert "needs about 0." in outcomes[0].fact
    assert "0.0 GB may be used" in outcomes[0].fact


def test_nobody_is_left_behind_when_a_run_is_killed(cohort: Path, tmp_path: Path) -> None:
    import psutil

    with psutil.Popen(
        [
            *(
                sys.executable,
                "-m",
                "pancseg",
                "extract",
                str(cohort),
                "--out",
                str(tmp_path / "o"),
            ),
            *("--workers", "2", "--quiet"),
        ]
    ) as run:
        deadline = time.monotonic() + 60
        while not (children := run.children(recursive=True)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert children
        run.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
