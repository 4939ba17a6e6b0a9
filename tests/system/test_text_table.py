"""Tables of text: what any program writes is read, what is broken is refused with its line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pancseg.errors import TableError
from pancseg.system.text_table import TextTable, read_text_table

PLAIN = "id,größe\nP1,1\nP2,2\n"


pytestmark = pytest.mark.usefixtures("longest_cell_as_python_has_it")


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.rstrip(),
        "\n,,\n" + PLAIN.replace("\n", ",,\n\n , ,\n"),
        ' id ,"größe"\n"P1",1\nP2 , 2 \n',
    ],
)
def test_what_programs_write_is_the_same_table(content: str | bytes, tmp_path: Path) -> None:
    table = read_text_table(written(tmp_path, content), "it")
    assert table.columns == ["id", "größe"]
    assert [(row.cells, row.problems) for row in table.rows()] == [
        (["P1", "1"], []),
        (["P2", "2"], []),
    ]


@pytest.mark.parametrize(
    ("header", "separator"),
    [
        ("a,b;c", ","),
        ("a;b;c,d", ";"),
        ('"a,b,c";d', ";"),
        ("a\tb,c\td", "\t"),
        ("alone", ","),
    ],
)
def test_the_header_tells_the_separator(header: str, separator: str) -> None:
    assert TextTable(f"{header}\n1;2,3\n", "it").separator == separator


def test_lines_are_those_of_the_file_and_every_problem_is_named() -> None:
    text = '\nid,a\nP1\n\nP2,1,5\nP3,"x\nP4,"\nP5,2,,\n'
    rows = list(TextTable(text, "it").rows())
    assert [(row.line, row.cells[0], len(row.problems)) for row in rows] == [
        (3, "P1", 0),
        (5, "P2", 1),
        (6, "P3", 1),
        (8, "P5", 0),
    ]
    assert rows[0].cells == ["P1", ""]
    too_long, unclosed = rows[1].problems[0], rows[2].problems[0]
    assert "has 3 cells, the header 2 columns; put cells that contain a ',' in" in too_long
    assert "a cell holds 2 lines; close its quote, or join the lines" in unclosed


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (PLAIN.encode("cp1252"), "it is not UTF-8 text; save it as 'CSV UTF-8'"),
        (PLAIN.encode("utf-16-le"), "not UTF-8"),
        (b"\xff\xfea", "not UTF-8"),
        (b"PK\x03\x04\0\0", "a workbook?"),
        (b"id\nP\0", "a workbook?"),
        (b"id,a\n" + b"P,1\n" * 300_000, "larger than 1 MiB"),
        (
            b'id,a\nP1,1\nP2,"' + b"x\n" * 100_000,
            "it: line [0-9]+ is not CSV .*; is a quote not closed",
        ),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    most = 1 << 20 if "larger" in problem else None
    with pytest.raises(TableError, match=problem) as refused:
        list(read_text_table(written(tmp_path, content), "it", most).rows())
    assert "\n" not in str(refused.value)


def test_what_cannot_be_opened_is_named_without_its_path(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.csv"):
        with pytest.raises(TableError, match=r"it cannot be read: [A-Z]") as refused:
            read_text_table(path, "it")
        assert str(tmp_path) not in str(refused.value)


LINE_ENDS = "\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
CELLS = st.text(st.characters(codec="utf-8", exclude_characters=f"\0{LINE_ENDS}"), max_size=8)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6), st.sampled_from(",;\t"))
def test_cells_come_back_as_they_were_written(rows: list[list[str]], separator: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows([["a", "b", "c"], *rows])
    read = list(TextTable(text.getvalue(), "it").rows())
    stripped = [[cell.strip() for cell in row] for row in rows]
    assert [row.cells for row in read] == [row for row in stripped if any(row)]
    assert not any(row.problems for row in read)


def test_a_cell_has_a_longest_length(tmp_path: Path) -> None:
    path = written(tmp_path, f"id,note\nP1,{'x' * 32_767}\nP2,{'1' * 40_000}\n")
    first, second = read_text_table(path, "it").rows()
    assert first.problems == []
    assert second.problems == ["a cell has 40,000 characters (at most 32,767); shorten it"]
    with pytest.raises(TableError, match=r"a column's name has 40,000 characters \(at most 32,767"):
        read_text_table(written(tmp_path, f"id,{'n' * 40_000}\nP1,2\n"), "it")
