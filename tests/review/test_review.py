"""A person's decision about a mask holds for that mask, in the table of the next run."""

from __future__ import annotations

import errno
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from small_cohort import make_cohort
from typer.testing import CliRunner

from pancseg import (
    RunOptions,
    RunRefused,
    extract_cohort,
    read_cohort,
    read_scan,
    write_scan,
)
from pancseg.cli import app
from pancseg.review.decisions import Decision, add_decisions, now, read_decisions

MEAN = "original_firstorder_Mean"
LIMITS = """
pancseg:
  quality:
    slice_mm: {warn_above: 20, fail_above: 20}
    regions: {pancreas: {volume_ml: {fail_below: null, warn_below: null, fail_above: 2,
                                     warn_above: 1}}}
"""


class Folder:
    """A cohort of two patients whose masks all fail, and the output of its runs."""

    def __init__(self, folder: Path) -> None:
        self.manifest = make_cohort(folder, ("a", "b"))
        self.masks = folder / "scans"
        text = (folder / "quick.yaml").read_text().split("pancseg:")[0]
        (folder / "strict.yaml").write_text(text + LIMITS)
        self.settings = folder / "strict.yaml"
        self.out = folder / "out"

    def call(self, *words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == code, result.output
        return result.output

    def run(self, code: int) -> pd.DataFrame:
        self.call(
            "extract", str(self.manifest), "--config", str(self.settings),
            "--out", str(self.out), "--workers", "0", "--quiet", code=code,
        )  # fmt: skip
        return pd.read_csv(self.out / "features.csv").set_index("patient_id")

    def change_mask(self, patient: str) -> None:
        """Leave out a voxel of a mask."""
        path = self.masks / f"{patient}_mask.nii.gz"
        mask = read_scan(path)
        inside = np.argwhere(sitk.GetArrayViewFromImage(mask))[-1]
        mask[tuple(int(i) for i in inside[::-1])] = 0
        write_scan(mask, path)

    def judge(self, decision: str, *patients: str, reason: str = "seen", code: int = 0) -> str:
        words = ("--reason", reason, "--by", "KM")
        return self.call(decision, str(self.out), *patients, *words, code=code)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def state(table: pd.DataFrame, patient: str) -> tuple[str, str, bool]:
    row = table.loc[patient]
    return row["qc_status"], row["qc_reasons"], math.isfinite(row[MEAN])


FAILED = ("fail", "volume", False)
ACCEPTED = ("warn", "volume;accepted", True)


def test_what_is_accepted_is_measured_until_its_mask_changes(folder: Folder) -> None:
    before = folder.run(code=1)
    assert state(before, "a") == state(before, "b") == FAILED
    folder.judge("accept", "a", reason="atrophy")
    after = folder.run(code=1)
    assert (state(after, "a"), state(after, "b")) == (ACCEPTED, FAILED)
    assert "accepted by KM on " in after.loc["a", "qc_message"]
    assert after.loc["a", "qc_message"].endswith(": atrophy")
    again = folder.run(code=1)
    pd.testing.assert_frame_equal(again, after)
    folder.change_mask("a")
    assert state(folder.run(code=1), "a") == FAILED


def test_the_last_decision_holds_and_all_are_kept(folder: Folder) -> None:
    folder.run(code=1)
    for decision in ("accept", "reject"):
        folder.judge(decision, "a", "b")
    table = folder.run(code=1)
    assert state(table, "a") == ("fail", "volume;rejected_by_reviewer", False)
    folder.judge("accept", "a", "b")
    table = folder.run(code=0)
    assert state(table, "a") == state(table, "b") == ACCEPTED
    kept = read_decisions(folder.out)
    assert [d.decision for d in kept] == ["accept"] * 2 + ["reject"] * 2 + ["accept"] * 2
    assert {d.mask_sha256 for d in kept} == set(table["mask_sha256"])
    header = (folder.out / "review.csv").read_text().split("\n")[0]
    assert header == "patient_id,scan_id,roi,decision,reason,by,at,mask_sha256"


def test_decisions_outlive_masks_and_patients_that_are_gone(folder: Folder) -> None:
    folder.run(code=1)
    folder.judge("accept", "a", "b")
    mask = folder.masks / "b_mask.nii.gz"
    mask.rename(mask.with_name("elsewhere"))
    table = folder.run(code=1)
    assert state(table, "a") == ACCEPTED
    assert table.loc["b", ["qc_status", "qc_reasons"]].tolist() == ["fail", "unreadable"]
    told = folder.judge("reject", "b", code=2)
    assert "there is no mask to judge: b" in told
    lines = folder.manifest.read_text().splitlines()
    folder.manifest.write_text("\n".join(lines[:2]) + "\n")
    assert list(folder.run(code=0).index) == ["a"]
    assert [made.patient_id for made in read_decisions(folder.out)] == ["a", "b"]
    mask.with_name("elsewhere").rename(mask)
    folder.manifest.write_text("\n".join(lines) + "\n")
    assert state(folder.run(code=0), "b") == ACCEPTED, "it is the mask that was accepted"


def test_a_good_mask_that_is_rejected_loses_its_features(folder: Folder) -> None:
    folder.settings = folder.settings.with_name("quick.yaml")
    assert state(folder.run(code=0).fillna(""), "a")[::2] == ("pass", True)
    folder.judge("reject", "a", reason="on the stomach")
    table = folder.run(code=1)
    assert state(table, "a") == ("fail", "rejected_by_reviewer", False)
    assert table.loc["b", "qc_status"] == "pass"


def test_a_good_mask_that_is_accepted_says_so_in_the_table(folder: Folder) -> None:
    folder.settings = folder.settings.with_name("quick.yaml")
    before = folder.run(code=0).fillna("")
    assert state(before, "a") == ("pass", "", True)
    folder.judge("accept", "a", reason="looked at")
    table = folder.run(code=0).fillna("")
    assert state(table, "a") == ("warn", "accepted", True)
    assert table.loc["a", "qc_message"].endswith(": looked at")
    assert state(table, "b") == ("pass", "", True)
    features = [name for name in table if name.startswith("original_")]
    pd.testing.assert_frame_equal(table[features], before[features])
    folder.change_mask("a")
    assert state(folder.run(code=0).fillna(""), "a") == ("pass", "", True)


def test_a_manifest_accepts_the_mask_that_it_meets_and_no_later_one(folder: Folder) -> None:
    lines = folder.manifest.read_text().splitlines()
    accepted = [lines[0] + ",accept", lines[1] + ",small but right", lines[2] + ","]
    folder.manifest.write_text("\n".join(accepted) + "\n")
    table = folder.run(code=1)
    assert (state(table, "a"), state(table, "b")) == (ACCEPTED, FAILED)
    (made,) = read_decisions(folder.out)
    assert (made.decision, made.by, made.reason) == ("accept", "manifest", "small but right")
    assert state(folder.run(code=1), "a") == ACCEPTED
    assert len(read_decisions(folder.out)) == 1
    folder.change_mask("a")
    assert state(folder.run(code=1), "a") == FAILED


def test_a_rejection_outlasts_the_manifests_acceptance(folder: Folder) -> None:
    """Whoever rejects a mask has seen it; the manifest was written before."""
    folder.run(code=1)
    folder.judge("reject", "a", reason="on the stomach")
    lines = folder.manifest.read_text().splitlines()
    accepted = [lines[0] + ",accept", lines[1] + ",small but right", lines[2] + ","]
    folder.manifest.write_text("\n".join(accepted) + "\n")
    for _ in range(2):
        assert state(folder.run(code=1), "a") == ("fail", "volume;rejected_by_reviewer", False)
    rejected, noted = read_decisions(folder.out)
    assert (rejected.decision, rejected.by) == ("reject", "KM")
    assert (noted.decision, noted.by, noted.reason) == ("comment", "manifest", "small but right")
    folder.change_mask("a")
    assert state(folder.run(code=1), "a") == FAILED


@pytest.mark.parametrize("text", ["no", "0", "False"])
def test_a_manifest_can_say_no(text: str, folder: Folder) -> None:
    lines = folder.manifest.read_text().splitlines()
    refused = [lines[0] + ",accept", *(f"{line},{text}" for line in lines[1:])]
    folder.manifest.write_text("\n".join(refused) + "\n")
    assert [case.accept for case in read_cohort(folder.manifest)] == ["", ""]


def test_an_acceptance_that_cannot_be_recorded_is_refused_before_the_run(folder: Folder) -> None:
    case = read_cohort(folder.manifest)[0]
    with pytest.raises(RunRefused, match="`reason` is not one line"):
        extract_cohort([replace(case, accept="two\nlines")], folder.out)
    assert not (folder.out / "features.csv").exists()


def test_workers_honour_decisions_and_segmented_masks_can_be_judged(folder: Folder) -> None:
    folder.run(code=1)
    folder.judge("accept", "a", "b")
    options = RunOptions(workers=2, threads=1)
    results = extract_cohort(folder.manifest, folder.out, settings=folder.settings, options=options)
    assert [result.reason for result in results] == ["volume;accepted"] * 2
    rows = (folder.out / "features.csv").read_text().splitlines()
    (folder.out / "features.csv").unlink()
    (folder.out / "masks.csv").write_text("\n".join(rows) + "\n")
    assert "2 masks rejected" in folder.judge("reject", "a", "b")


def test_what_cannot_be_judged_is_refused_and_nothing_is_written(folder: Folder) -> None:
    (folder.masks / "b_mask.nii.gz").write_bytes(b"")
    folder.run(code=1)
    for patients, reason, told in (
        (("a", "c"), "seen", "the table has no such row: c"),
        (("b",), "seen", "there is no mask to judge: b"),
        (("a",), "=1+1", "--reason begins like a formula"),
        (("a",), "- tail", "--reason begins like a formula"),
        (("a",), " ", "--reason is empty"),
        (("a",), "two\nlines", "--reason is not one line"),
    ):
        said = folder.judge("accept", *patients, reason=reason, code=2)
        assert told in said
    words = ["accept", str(folder.out / "nowhere"), "a", "--reason", "seen", "--by", "AB"]
    assert "the output folder does not exist" in folder.call(*words, code=2)
    words = ["a", "--reason", "seen", "--by", "AB", "--region", "tumour"]
    said = folder.call("accept", str(folder.out), *words, code=2)
    assert "a: the table has no row of this scan and region; it has a" in said
    assert not (folder.out / "review.csv").exists()
    (folder.out / "review.csv").write_text("patient_id,decision\na,accept\n")
    assert "review.csv has no column 'scan_id'" in folder.judge("accept", "a", code=2)


def test_an_acceptance_after_a_rejection_says_nothing_of_it(folder: Folder) -> None:
    folder.run(code=1)
    folder.judge("reject", "a")
    folder.run(code=1)
    assert "cannot be measured" not in folder.judge("accept", "a")
    assert state(folder.run(code=1), "a") == ACCEPTED


def test_a_mask_that_is_gone_is_not_judged(folder: Folder) -> None:
    folder.run(code=1)
    mask = folder.masks / "b_mask.nii.gz"
    content = mask.read_bytes()
    mask.unlink()
    for decision in ("accept", "reject"):
        said = folder.judge(decision, "a", "b", code=2)
        assert said == (
            "pancseg: the mask that was measured is gone: b; put its file back, or run again\n"
        )
    assert not (folder.out / "review.csv").exists()
    folder.judge("accept", "a")
    mask.write_bytes(content)
    folder.judge("accept", "b")
    assert [made.patient_id for made in read_decisions(folder.out)] == ["a", "b"]


def test_comments_decide_nothing(tmp_path: Path) -> None:
    made = Decision("ä", "", "pancreas", "comment", 'why; "so"', "K", now(), "0" * 64)
    add_decisions(tmp_path, [made])
    add_decisions(tmp_path, [made._replace(reason="")])
    assert read_decisions(tmp_path) == [made, made._replace(reason="")]


def test_a_reason_may_have_the_spaces_of_french_and_a_lock_leaves_no_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "vu\u00a0: le masque\u202f! suit l'organe"
    made = Decision("P1", "", "pancreas", "accept", reason, "KM", now(), "a" * 64)
    add_decisions(tmp_path, [made])
    assert read_decisions(tmp_path) == [made]
    with pytest.raises(ValueError, match="`reason` is not one line"):
        add_decisions(tmp_path, [made._replace(reason="two\u2028lines")])

    def none(*_: object) -> None:
        raise OSError(errno.ENOSYS, "no locks")

    monkeypatch.setattr("fcntl.flock", none)
    (tmp_path / ".pancseg" / "review.lock").unlink(missing_ok=True)
    with pytest.raises(OSError, match="locks"):
        add_decisions(tmp_path, [made])
    assert read_decisions(tmp_path) == [made]
