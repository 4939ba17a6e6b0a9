"""``review.csv`` may be edited and saved by a spreadsheet; what cannot be understood is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import call
from faulty_files import FaultyFiles

import pancseg
from pancseg.review.decisions import Decision, add_decisions, read_decisions
from pancseg.viewer.server import Server

MASK = "0123456789abcdef" * 4
OTHER = "f" * 64
COMMENT = Decision("P2", "", "pancreas", "comment", "thin", "KM", "2026-11-30T06:50:00+00:00", "")
MADE = Decision("P1", "", "pancreas", "accept", "small", "KM", "2026-11-30T06:46:32+00:00", MASK)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output folder with a table of two rows, and a decision and a comment about them."""
    rows = [
        "patient_id,scan_id,roi,qc_status,qc_reasons,mask_sha256",
        f"P1,,pancreas,fail,volume,{MASK}",
        f"P2,,pancreas,fail,volume,{OTHER}",
    ]
    (tmp_path / "features.csv").write_text("\n".join(rows) + "\n")
    add_decisions(tmp_path, [MADE, COMMENT])
    return tmp_path


def edit(out: Path, old: str, new: str) -> None:
    path = out / "review.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def accept(out: Path, patient: str = "P2") -> tuple[int, str]:
    code, _, told = call("accept", out, patient, "--reason", "seen", "--by", "KM")
    return code, told


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_excel_saves_is_read(separator: str, encoding: str, out: Path) -> None:
    path = out / "review.csv"
    text = path.read_text().replace(",", separator).replace("2026-11-30T", "30.11.2026 ")
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    made, comment = read_decisions(out)
    assert (comment.decision, comment.reason) == ("comment", "thin")
    assert made == MADE._replace(at="30.11.2026 06:46:32+00:00")
    assert made.fact == "accepted by KM on 30.11.2026: small"
    assert accept(out) == (0, "")
    assert [each.patient_id for each in read_decisions(out)] == ["P1", "P2", "P2"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (",small,", ",small, but right,", "line 2: the row has 9 cells, the header 8 columns"),
        (",accept,", ",yes,", "line 2: decision is none of accept, reject, comment"),
        (MASK, MASK[:8], "line 2: mask_sha256 is not a mask's hash of 64 digits"),
        (",KM,", ',"KM,', "line 2: a cell holds 2 lines; close its quote"),
        ("decision,", "verdict,", "has no column 'decision'; restore the file"),
        ("small", "\0", "is not UTF-8 text"),
    ],
)
def test_a_line_that_is_no_decision_is_named_and_nothing_is_written(
    old: str, new: str, told: str, out: Path
) -> None:
    edit(out, old, new)
    before = (out / "review.csv").read_bytes()
    code, said = accept(out)
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("pancseg: review.csv")
    assert told in said
    assert (out / "review.csv").read_bytes() == before


def test_a_run_with_a_bad_line_is_refused_before_it_starts(out: Path) -> None:
    edit(out, ",small,", ",small, but right,")
    with pytest.raises(pancseg.RunRefused, match=r"review\.csv: line 2: the row has 9 cells"):
        pancseg.extract_cohort(pancseg.Case("P1", out / "scan.nii.gz"), out)


def test_report_and_viewer_say_on_the_terminal_which_line_is_bad(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "pancseg: review.csv: line 2: the row has 9 cells, the header 8 columns"
    not_shown = "; what stands there is not shown\n"
    edit(out, ",small,", ",small, but right,")
    code, said, bad = call("report", out)
    assert (code, said) == (0, "page: report/index.html in the output folder\n")
    assert bad.startswith(told)
    assert bad.endswith(not_shown)
    assert "review.csv cannot be read" in (out / "report" / "index.html").read_text()
    monkeypatch.setattr(Server, "serve_forever", lambda self: None)
    code, said, bad = call("view", out, "--no-browser")
    assert code == 0
    line, advice = bad.splitlines(keepends=True)
    assert line.startswith(told)
    assert line.endswith(not_shown)
    assert "give --scans" in advice


def test_columns_that_somebody_adds_are_kept(out: Path) -> None:
    edit(out, "mask_sha256\n", "mask_sha256,second reader\n")
    edit(out, f"{MASK}\n", f'{MASK},"agrees, 3 May"\n')
    assert accept(out) == (0, "")
    header, first, *_, last = (out / "review.csv").read_text().splitlines()
    assert header.endswith(",mask_sha256,second reader")
    assert first.endswith(f',{MASK},"agrees, 3 May"')
    assert last.endswith(f",{OTHER},")


def test_a_disk_that_cannot_be_written_is_one_line(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (out / "review.csv").read_bytes()
    with monkeypatch.context() as patched:
        FaultyFiles(1, on=lambda path: "review" in path.name, always=True).install(patched)
        code, said = accept(out)
    assert code == 2
    assert said.startswith("pancseg: the output cannot be written: ")
    assert said.count("\n") == 1
    assert (out / "review.csv").read_bytes() == before


def test_a_table_of_an_older_version_cannot_be_judged(out: Path) -> None:
    text = (out / "features.csv").read_text()
    (out / "features.csv").write_text(text.replace(",mask_sha256", ",sha256"))
    code, said = accept(out)
    assert (code, said) == (2, "pancseg: features.csv has no column 'mask_sha256'; run again\n")
