"""Changed limits judge a cohort anew, measure nothing twice, and give the table of a fresh run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pancseg import Case, FeatureSettings, RunOptions, load_feature_settings, read_cohort
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.evidence import Evidence, Judging
from pancseg.processing.plan import ProcessingPlan
from pancseg.quality.check import Check

HERE = RunOptions(workers=0)
ENTROPY = "original_firstorder_Entropy"
NOTHING = {"fail_below": None, "warn_below": None, "warn_above": 1, "fail_above": 2}
SMALL = {"regions": {"pancreas": {"volume_ml": NOTHING}}}
"""Named for the region, a limit fails the masks of this cohort too, which a person drew."""
WARNED = {"volume_ml": {"warn_above": 26}}


@pytest.fixture
def cases(cohort: Path) -> list[Case]:
    return read_cohort(cohort)[:2]


def settings_with(cohort: Path, folder: Path, quality: object) -> FeatureSettings:
    """The cohort's quick settings, with other limits."""
    text = json.dumps({"quality": {"slice_mm": {"warn_above": 20, "fail_above": 20}}})
    for name, content in (("base", text), ("own", json.dumps({"quality": quality}))):
        extends = "extends: quick.yaml\n" if name == "base" else "extends: base.yaml\n"
        (folder / f"{name}.yaml").write_text(f"{extends}pancseg: {content}\n")
    (folder / "quick.yaml").write_text((cohort.parent / "quick.yaml").read_text())
    return load_feature_settings(folder / "own.yaml")


class Runs:
    """Runs of one cohort under different limits into one folder, and into fresh ones."""

    def __init__(self, cases: list[Case], cohort: Path, folder: Path) -> None:
        self.cases, self.cohort, self.folder = cases, cohort, folder
        self.out = folder / "out"

    def run(
        self, quality: object, *, keep_failed: bool = False, retry: bool = True
    ) -> tuple[pd.DataFrame, int]:
        """Return the table, which must be that of a fresh run, and the number of rows made."""
        settings = settings_with(self.cohort, self.folder, quality)
        plan = ProcessingPlan("extract", settings, keep_failed=keep_failed)
        run_plan(self.cases, self.out, plan, options=replace(HERE, retry=retry))
        fresh = self.folder / f"fresh{len(list(self.folder.glob('fresh*')))}"
        run_plan(self.cases, fresh, plan, options=HERE)
        for name in ("features.csv", "codebook.csv"):
            assert (self.out / name).read_bytes() == (fresh / name).read_bytes(), name
        lines = map(json.loads, (self.out / "run.jsonl").read_text().splitlines())
        made = sum(len(line["rows"]) - line["reused"] for line in lines if line["event"] == "scan")
        return pd.read_csv(self.out / "features.csv"), made


@pytest.fixture
def runs(cases: list[Case], cohort: Path, tmp_path: Path) -> Runs:
    return Runs(cases, cohort, tmp_path)


def test_between_pass_and_warn_the_verdict_alone_changes(runs: Runs) -> None:
    passed, made = runs.run({})
    assert (set(passed["qc_status"]), made) == ({"pass"}, 2)
    warned, made = runs.run(WARNED)
    assert (set(warned["qc_status"]), set(warned["qc_reasons"]), made) == ({"warn"}, {"volume"}, 0)
    assert (warned[ENTROPY] == passed[ENTROPY]).all()
    assert (warned["settings_sha256"] == passed["settings_sha256"]).all()
    again, made = runs.run({})
    assert (set(again["qc_status"]), made) == ({"pass"}, 0)


@pytest.mark.parametrize("retry", [True, False])
def test_stricter_limits_take_the_features_away_and_looser_ones_give_them_back(
    runs: Runs, retry: bool
) -> None:
    before, _ = runs.run({})
    failed, made = runs.run(SMALL, retry=retry)
    assert (set(failed["qc_status"]), set(failed["qc_reasons"]), made) == ({"fail"}, {"volume"}, 0)
    assert failed[ENTROPY].isna().all()
    assert failed["qc_grid_mm"].isna().all()
    back, made = runs.run({}, retry=retry)
    assert made == 0
    pd.testing.assert_frame_equal(back, before)


@pytest.mark.parametrize("retry", [True, False])
def test_a_row_that_failed_is_measured_when_it_passes(runs: Runs, retry: bool) -> None:
    failed, made = runs.run(SMALL, retry=retry)
    assert (made, failed[ENTROPY].notna().sum()) == (2, 0)
    passed, made = runs.run({}, retry=retry)
    assert (made, set(passed["qc_status"])) == (2, {"pass"})
    assert passed[ENTROPY].notna().all()
    assert runs.run({}, retry=retry)[1] == 0


def test_one_failure_for_another_measures_nothing(runs: Runs) -> None:
    runs.run(SMALL)
    limit = {"warn_below": 900, "fail_below": 900, "warn_above": 950, "fail_above": 999}
    other, made = runs.run({"regions": {"pancreas": {"median_hu": limit}}})
    assert (set(other["qc_reasons"]), made) == ({"hu_range"}, 0)


def test_failed_rows_that_keep_their_features(runs: Runs) -> None:
    kept, made = runs.run(SMALL, keep_failed=True)
    assert (set(kept["qc_status"]), made) == ({"fail"}, 2)
    assert kept[ENTROPY].notna().all()
    hidden, made = runs.run(SMALL)
    assert (hidden[ENTROPY].notna().sum(), made) == (0, 0)
    passed, made = runs.run({}, keep_failed=True)
    assert (set(passed["qc_status"]), made) == ({"pass"}, 0)
    again, made = runs.run(SMALL, keep_failed=True)
    assert (set(again["qc_status"]), made) == ({"fail"}, 0)
    pd.testing.assert_frame_equal(again, kept)


@pytest.mark.parametrize("retry", [True, False])
def test_features_of_failed_rows_are_measured_when_they_are_to_be_kept(
    runs: Runs, retry: bool
) -> None:
    runs.run(SMALL, retry=retry)
    kept, made = runs.run(SMALL, keep_failed=True, retry=retry)
    assert (made, kept[ENTROPY].notna().all()) == (2, True)


def test_a_failure_after_resegmentation_shows_what_was_measured_until_then(
    cases: list[Case], cohort: Path, tmp_path: Path
) -> None:
    text = (cohort.parent / "quick.yaml").read_text()
    quick = tmp_path / "resegmented"
    quick.mkdir()
    (quick / "quick.yaml").write_text(
        text.replace("binWidth", "resegmentRange: [0, 300], binWidth")
    )
    runs = Runs(cases, quick / "cohort.csv", tmp_path)
    nearly_all = {"resegmented_share": {"warn_below": 1.5, "fail_below": 1.5}}
    passed, _ = runs.run({})
    failed, made = runs.run(nearly_all)
    assert (set(failed["qc_reasons"]), made) == ({"resegmented"}, 0)
    assert failed["qc_resegmented_share"].equals(passed["qc_resegmented_share"])
    assert failed[ENTROPY].isna().all()
    passed, made = runs.run({})
    assert (passed[ENTROPY].notna().all(), made) == (True, 0)


def test_what_counts_as_fat_changes_a_measured_share(runs: Runs) -> None:
    before, _ = runs.run({})
    after, made = runs.run({"fat_below_hu": 80, "fat_share": {"warn_above": 1, "fail_above": 1}})
    assert made == 2
    assert (after["qc_fat_share"] > before["qc_fat_share"]).all()
    assert (after["settings_sha256"] == before["settings_sha256"]).all()


def test_masks_are_judged_anew_too(cohort: Path, tmp_path: Path) -> None:
    cases = read_cohort(cohort)[4:5]
    found = []
    for quality in ({}, SMALL, {}):
        limits = settings_with(cohort, tmp_path, quality).quality
        plan = ProcessingPlan("segment", None, weights="monet_phantom", limits=limits)
        (result,) = run_plan(cases, tmp_path / "out", plan, options=HERE)
        lines = map(json.loads, (tmp_path / "out" / "run.jsonl").read_text().splitlines())
        reused = [line["reused"] for line in lines if line["event"] == "scan"][-1]
        found.append((result.status, reused))
    assert found == [("pass", 0), ("fail", 1), ("pass", 1)]


def test_evidence_survives_json_and_nothing_else_passes_for_it() -> None:
    checks = (
        Check("volume", "the region's volume is 5.1 mL", "volume_ml", 5.1, " mL"),
        Check("truncated", "it touches the edge", grade="warn"),
    )
    evidence = Evidence(checks, ((1, 3),), whole=False)
    record = json.loads(json.dumps(evidence.as_json()))
    assert Evidence.from_json(record, 4) == evidence
    judged = evidence.judged(4, Judging())
    assert (judged.status, list(judged.reasons), judged.values) == ("fail", ["volume"], 3)
    wrong: list[object] = [None, [], {}, record | {"whole": 1}, record | {"steps": [[3, 1]]}]
    wrong += [record | {"steps": [[1, 9]]}, record | {"steps": 5}, record | {"checks": [5]}]
    for written in (
        ["volume", "a fact", "model_fields", 1, "", "pass"],
        ["volume", "a fact", "fat_below_hu", 1, "", "pass"],
        ["volume", 5, "", 1, "", "pass"],
        ["volume", "a fact", "", [], "", "pass"],
        ["volume", "a fact", "", 1, "", "excellent"],
        ["volume", "a fact", "", 1, "", []],
    ):
        wrong.append(record | {"checks": [written]})
    for one in wrong:
        with pytest.raises(ValueError, match="of a row"):
            Evidence.from_json(one, 4)
