"""A cohort with a failure of every code: table, page, log and decisions lose no row and no reason.

Of the codes of ``pancseg.reasons`` one output folder can hold all but these: ``not_flat`` and
``wide_filter`` come from the mode pyradiomics alone, so a second folder has them; and
``missing_values`` guards against features without a value that pancseg does not know of. The codes
``accepted`` and ``rejected_by_reviewer`` come with the decisions and a second run.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from command_line import call
from failing_patients import OUT, RECIPES, RECIPES_2D, write_patients
from hanging_scans import limit_only_what_hangs

import pancseg
from pancseg.cli.parameters import with_options
from pancseg.reasons import EXCEPTION, REASONS
from pancseg.review.decisions import read_decisions
from pancseg.running.executors import process

BY_DECISION = {"accepted", "rejected_by_reviewer"}
BY_PYRADIOMICS = {"not_flat", "wide_filter"}
NEVER = {"missing_values"}
BY_A_LIMIT = "hu_range"
"""Its patients fail, and by nothing but a limit, so that an acceptance lifts it."""
COUNT = 200
BAD_ENDS = ("memory", "timeout", "killed", "crashed", "KeyError")
BY_NETWORK = ("uncertain", "no_pancreas", "mask_exists")
MEAN = "original_firstorder_Mean"


class Cohort(NamedTuple):
    """An output folder, and which code each of its rows was made for."""

    folder: Path
    codes: tuple[str, ...]
    results: tuple[pancseg.CaseResult, ...] = ()
    seconds: float = 0

    @property
    def out(self) -> Path:
        return self.folder / OUT

    @property
    def table(self) -> pd.DataFrame:
        return pd.read_csv(self.out / "features.csv", keep_default_na=False, dtype={"scan_id": str})

    @property
    def page(self) -> str:
        return (self.out / "report" / "index.html").read_text(encoding="utf-8")


def measured(cohort: Cohort) -> Cohort:
    """Measure patients that were written, in a worker process, without a network.

    Rows that failed before are kept, unless a decision changes them.
    """
    before = time.perf_counter()
    results = pancseg.extract_cohort(
        cohort.folder / "cohort.csv",
        cohort.out,
        settings=cohort.folder / "settings.yaml",
        options=pancseg.RunOptions(
            workers=1, threads=1, timeout_s=2, memory_bytes=10**13, retry=False
        ),
    )
    pancseg.write_report(cohort.out, as_options)
    return cohort._replace(results=tuple(results), seconds=time.perf_counter() - before)


def segmented(folder: Path, codes: tuple[str, ...]) -> Cohort:
    """Write the patients and run them with the network and its dropout, in this process."""
    manifest = write_patients(folder, codes)
    results = pancseg.run_cohort(
        manifest,
        folder / OUT,
        settings=folder / "settings.yaml",
        weights="monet_phantom",
        uncertainty=2,
        options=pancseg.RunOptions(workers=0, threads=1),
    )
    pancseg.write_report(folder / OUT, as_options)
    return Cohort(folder, codes, tuple(results))


def as_options(text: str) -> str:
    return with_options(text, shown="`{}`")


@pytest.fixture(scope="module")
def bad_ends() -> Iterator[None]:
    """Workers end badly on scans with telling names."""
    child = Path(__file__).parents[1] / "running" / "crashing_child.py"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(process, "CHILD", (str(child),))
        limit_only_what_hangs(patched)
        yield


@pytest.fixture(scope="module")
def cohort(bad_ends: None, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """One patient a code, and a twin of the duplicate."""
    without_network = tuple(code for code in RECIPES if code not in BY_NETWORK)
    folder, codes = tmp_path_factory.mktemp("codes"), ("duplicate", *without_network)
    write_patients(folder, codes)
    return measured(Cohort(folder, codes))


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    found: dict[str, Any] = json.loads(text)
    return found


def codes_of(row: Any) -> list[str]:
    return [code for code in str(row["qc_reasons"]).split(";") if code]


def test_every_code_has_its_recipe() -> None:
    made = set(RECIPES) - {"", "KeyError"}
    assert made | BY_DECISION | BY_PYRADIOMICS | NEVER == set(REASONS)


def test_every_row_is_in_the_table_with_its_code_and_its_sentence(cohort: Cohort) -> None:
    check_table(cohort)


def check_table(cohort: Cohort) -> None:
    table = cohort.table
    assert list(table["patient_id"]) == [
        f"{n:04}-{code or 'good'}" for n, code in enumerate(cohort.codes)
    ]
    for code, (_, row), result in zip(cohort.codes, table.iterrows(), cohort.results, strict=True):
        found = codes_of(row)
        assert code in found if code else found == [], row["patient_id"]
        assert row["qc_message"] == result.fact
        assert len(row["qc_message"].split("; ")) >= len(found)
        assert "\n" not in row["qc_message"]
        usable = row["qc_status"] in ("pass", "warn")
        assert (row[MEAN] != "") == usable
        allowed = {"", *(REASONS[each].status for each in found if each in REASONS)}
        assert (row["qc_status"] == "pass") == (not found)
        if row["qc_status"] in ("fail", "error") and "KeyError" not in found:
            assert any(row["qc_status"] in status for status in allowed)


def test_every_code_is_explained_for_people_and_for_programs(cohort: Cohort) -> None:
    labels = pd.read_csv(cohort.out / "value_labels.tsv", sep="\t")
    labels = labels[labels["column"] == "qc_reasons"].set_index("value")["label"]
    book = pd.read_csv(cohort.out / "codebook.csv").set_index("name")
    assert set(cohort.table.columns) == set(book.index)
    for code in {each for _, row in cohort.table.iterrows() for each in codes_of(row)}:
        happened = REASONS[code].happened if code in REASONS else EXCEPTION.happened
        assert labels[code if code in REASONS else "KeyError, …"] == happened
        assert happened in book.loc["qc_reasons", "description"]


def test_the_log_has_every_row(cohort: Cohort) -> None:
    check_log(cohort)


def check_log(cohort: Cohort) -> None:
    lines = [json.loads(line) for line in (cohort.out / "run.jsonl").read_text().splitlines()]
    scans = {line["case"]: line["rows"][0] for line in lines if line["event"] == "scan"}
    table = cohort.table
    assert lines[0]["rows"] == len(table)
    assert len(scans) == len(table)
    for _, row in table.iterrows():
        logged = scans[row["patient_id"]]
        told = ";".join(code for code in codes_of(row) if code != "duplicate")  # known at the end
        assert logged["reasons"] == told
    ended = lines[-1]
    counts = table["qc_status"].value_counts().to_dict()
    assert ended["event"] == "end"
    assert {k: ended["rows"][k] for k in counts} == counts


def test_the_page_shows_every_row_with_its_remedy(cohort: Cohort) -> None:
    check_page(cohort)


def check_page(cohort: Cohort) -> None:
    table, data = cohort.table, data_of(cohort.page)
    assert [row["id"][0] for row in data["rows"]] == list(table["patient_id"])
    for shown, (_, row) in zip(data["rows"], table.iterrows(), strict=True):
        assert shown.get("r", []) == codes_of(row)
        assert shown.get("m", "") == as_options(row["qc_message"])
        assert shown["s"] == row["qc_status"]
    for code, told in data["reasons"].items():
        reason = REASONS.get(code, EXCEPTION)
        texts = (reason.happened, reason.remedy)
        assert told == [as_options(text) for text in texts]
    counted = {
        code: int(count)
        for code, count in re.findall(r'data-reason="(\w+)".*?>(\d+) \w+</span>', cohort.page, re.S)
    }
    assert set(counted) == set(data["reasons"])


def test_what_the_network_leaves_is_in_the_table_and_on_the_page(tmp_path: Path) -> None:
    cohort = segmented(tmp_path, BY_NETWORK)
    check_table(cohort)
    check_log(cohort)
    check_page(cohort)


def test_what_flat_regions_leave_is_in_the_table_and_on_the_page(tmp_path: Path) -> None:
    codes = tuple(RECIPES_2D)
    write_patients(tmp_path, codes, RECIPES_2D)
    cohort = measured(Cohort(tmp_path, codes))
    check_table(cohort)
    check_log(cohort)
    check_page(cohort)


def test_decisions_about_every_row_hold_in_the_next_run(cohort: Cohort) -> None:
    check_decisions(cohort)


def check_decisions(cohort: Cohort) -> None:
    """Accept every mask, run again, reject every mask, and run again."""
    before = cohort.table.set_index("patient_id")
    judged = list(before.index[before["mask_sha256"] != ""])
    without = [name for name in before.index if name not in judged]
    why = ("--reason", "seen <b>and</b> measured", "--by", "KM")
    code, _, told = call("accept", cohort.out, *before.index, *why)
    assert code == 2
    assert "there is no mask to judge" in told
    assert call("accept", cohort.out, *judged, *why)[0] == 0
    accepted = measured(cohort).table.set_index("patient_id")
    lifted = [name for name in judged if name.partition("-")[2] == BY_A_LIMIT]
    assert {before.loc[name, "qc_status"] for name in lifted} == {"fail"}
    for name, row in accepted.iterrows():
        was, now = codes_of(before.loc[name]), codes_of(row)
        failed = before.loc[name, "qc_status"] == "fail"
        if name in without or (failed and name not in lifted):
            assert (now, row["qc_status"]) == (was, before.loc[name, "qc_status"])
        else:
            assert set(now) >= {*was, "accepted"}, name
            assert row["qc_status"] == "warn"
            assert row[MEAN] != ""
            assert "seen <b>and</b> measured" in row["qc_message"]
    check_page(cohort)
    assert call("reject", cohort.out, *judged, *why)[0] == 0
    rejected = measured(cohort).table.set_index("patient_id")
    for name in judged:
        assert rejected.loc[name, "qc_status"] == "fail"
        assert "rejected_by_reviewer" in codes_of(rejected.loc[name]), name
        assert rejected.loc[name, MEAN] == ""
    assert set(rejected.loc[without, "qc_reasons"]) == set(before.loc[without, "qc_reasons"])
    assert len(read_decisions(cohort.out)) == 2 * len(judged)
    check_page(cohort)


@pytest.mark.soak
def test_two_hundred_patients_with_failures_of_every_code(bad_ends: None, tmp_path: Path) -> None:
    quick = [code for code in RECIPES if code not in (*BY_NETWORK, *BAD_ENDS)]
    some = (quick * COUNT)[: COUNT - len(BAD_ENDS)]
    codes = (*sorted(some), *BAD_ENDS)
    write_patients(tmp_path, codes)
    cohort = measured(Cohort(tmp_path, codes))
    check_table(cohort)
    check_log(cohort)
    check_page(cohort)
    pictures = cohort.out / "report" / "pictures"
    megabytes = sum(path.stat().st_size for path in pictures.iterdir()) / 1e6
    print(f"{COUNT} patients in {cohort.seconds:.0f} s, {megabytes:.1f} MB of pictures")
    assert megabytes < 0.6 * COUNT
    check_decisions(cohort)
    check_model(cohort)


def check_model(cohort: Cohort) -> None:
    """Accept again, and fit a model on what is usable."""
    table = cohort.table
    judged = table["patient_id"][table["mask_sha256"] != ""]
    assert call("accept", cohort.out, *judged, "--reason", "seen", "--by", "KM")[0] == 0
    table = measured(cohort).table
    accepted = int(table["qc_reasons"].str.split(";").map(lambda each: "accepted" in each).sum())
    rng = np.random.default_rng(3)
    clinical = pd.DataFrame(
        {"patient_id": table["patient_id"], "subtype": rng.integers(0, 2, len(table))}
    )
    scan = table["image_sha256"]  # a duplicate is the same person under another id
    clinical["person"] = scan.where(scan != "", table["patient_id"]).str[:16]
    clinical.to_csv(cohort.folder / "clinical.csv", index=False)
    code, out, told = call(
        "model", "subtype", cohort.out / "features.csv", "--outcome",
        cohort.folder / "clinical.csv", "--label", "subtype", "--group", "person",
        "--roi", "pancreas", "--out",
        cohort.folder / "model", "--folds", 3, "--inner-folds", 2, "--repeats", 1, "--canary", 0,
        "--workers", 1,
    )  # fmt: skip
    assert code == 0, told
    assert f"Of these, {accepted} rows were accepted by a person" in out + told + "".join(
        path.read_text() for path in (cohort.folder / "model").glob("*.md")
    )
