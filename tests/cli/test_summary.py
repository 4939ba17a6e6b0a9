"""The closing lines say what to look at, where things lie and what comes next."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from pancseg import Case, CaseResult
from pancseg.cli.summary import Written, summary_of_run
from pancseg.running.run_log import RunLog


def result(name: str, status: str, reason: str, source: str = "monet_open") -> CaseResult:
    values = {"qc_mask_source": source}
    return CaseResult(Case(name, Path(name)), status, reason, values=values)  # type: ignore[arg-type]


TO_LOOK_AT = [result("a", "pass", ""), result("b", "warn", "fat"), result("c", "warn", "gap")]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "DOE_JOHN"
    folder.mkdir()
    with closing(RunLog(folder / "run.jsonl")) as log:
        log.end(Counter())
    return folder


def lines(results: list[CaseResult], written: Written) -> list[str]:
    return summary_of_run(results, written).splitlines()


def test_masks_to_look_at_stand_apart_and_files_are_named_within_the_folder(out: Path) -> None:
    results = [*TO_LOOK_AT, result("d", "fail", "volume")]
    assert lines(results, Written(out, ("features.csv",), masks=True, page=True)) == [
        "4 rows in features.csv: 3 usable, of these 2 to look at; 1 not usable",
        "  fat: 1",
        "  gap: 1",
        "  volume: 1",
        "in the output folder: table: features.csv; masks: masks/; page: report/index.html",
        "next: look at these 2: open report/index.html, or run pancseg view OUT",
    ]


def test_the_next_step_suits_what_came_of_the_run(out: Path) -> None:
    given = [result("a", "warn", "volume", "given")]
    page, no_page = Written(out, ("features.csv",), page=True), Written(out, ("features.csv",))
    every = "next: look at every mask before you use the table: "
    assert lines(given, page)[-1] == f"{every}open report/index.html, or run pancseg view OUT"
    assert lines(given, no_page)[-2:] == [
        "in the output folder: table: features.csv",
        f"{every}run pancseg view OUT",
    ]
    failed = [result("a", "fail", "volume")]
    assert lines(failed, page)[-1].startswith("next: see why 1 of the rows")
    masks = Written(out, ("masks.csv",), masks=True)
    assert lines(TO_LOOK_AT, masks)[-1] == (
        "next: look at the masks (pancseg view OUT); pancseg run with the same COHORT and OUT "
        "measures them"
    )


def test_accepted_masks_are_counted_and_not_to_be_looked_at_again(out: Path) -> None:
    page = Written(out, ("features.csv",), page=True)
    accepted = [result("a", "warn", "accepted"), result("b", "warn", "fat;accepted")]
    told = lines([*accepted, result("c", "warn", "gap"), result("d", "fail", "volume")], page)
    assert told[0] == (
        "4 rows in features.csv: 3 usable, of these 2 accepted and 1 to look at; 1 not usable"
    )
    assert told[-1].startswith("next: look at the one: ")
    told = lines([*accepted, result("c", "pass", "")], page)
    assert told[0] == "3 rows in features.csv: 3 usable, of these 2 accepted; 0 not usable"
    assert told[-1].startswith("next: look at every mask that nobody has accepted before you use")
    told = lines(accepted, page)
    assert told[-1] == "next: every mask has been accepted; pancseg model analyses the table"


def test_masks_of_persons_are_told_by_what_they_did(out: Path) -> None:
    results = [
        result("a", "pass", "", "corrected"),
        result("b", "pass", "", "drawn"),
        result("c", "pass", "", "given"),
    ]
    told = lines(results, Written(out, ("features.csv",)))
    assert told[1:3] == ["corrected masks taken: a", "drawn masks taken: b"]


def test_nothing_names_the_folder(out: Path) -> None:
    text = summary_of_run(TO_LOOK_AT, Written(out, ("features.csv",), masks=True, page=True))
    assert "DOE" not in text
