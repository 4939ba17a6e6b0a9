"""What was done is found again, whatever a kill left of the last line."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tracemalloc
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pancseg import Case, CaseResult
from pancseg.pipeline.result_table import fields_and_rows
from pancseg.running.journal import Journal
from pancseg.running.messages import MadeFrom
from pancseg.tables.fields import Value

ONE, TWO = Case("one", Path("one.nii")), Case("two", Path("two.nii"))
MADE = MadeFrom("made-from", "scan")
VALUES = {"a": 0.1 + 0.2, "b": math.nan, "n": 3, "text": "ä;1"}


def journal_with_two(path: Path) -> None:
    with closing(Journal(path)) as journal:
        journal.add_row("k1", CaseResult(ONE, "pass", values=dict(VALUES)))
        journal.add_mask("one", "digest", MADE)
        journal.add_row("k2", CaseResult(TWO, "fail", "empty_mask", "no voxel"))


def test_rows_come_back_to_the_last_bit_and_type(tmp_path: Path) -> None:
    journal_with_two(tmp_path / "j")
    with closing(Journal(tmp_path / "j")) as journal:
        assert journal.known(ONE, failed=False) == {"k1"}
        again = journal.row("k1", ONE)
        assert journal.earlier_masks("one") == {"digest": MADE}
    assert (again.status, again.usable) == ("pass", True)
    assert again.values["a"] == VALUES["a"]
    assert isinstance(again.values["b"], float)
    assert math.isnan(again.values["b"])
    assert (again.values["n"], again.values["text"], len(again.values)) == (3, "ä;1", 4)
    assert list(again.values) == list(VALUES)


def test_the_looks_agreement_comes_back_with_the_mask_to_the_last_bit(tmp_path: Path) -> None:
    made = MADE._replace(looks_dice=0.1 + 0.2)
    with closing(Journal(tmp_path / "j")) as journal:
        journal.add_mask("one", "digest", made)
    with closing(Journal(tmp_path / "j")) as journal:
        assert journal.earlier_masks("one") == {"digest": made}


def test_masks_of_journals_that_did_not_note_the_scan_are_known(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"mask": "one", "digest": "d", "key": "k"}\n')
    with closing(Journal(tmp_path / "j")) as journal:
        assert journal.earlier_masks("one") == {"d": MadeFrom("k", "")}


def test_a_row_is_read_once_whenever_the_table_is_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[object] = []
    record = Journal._record

    def counted(journal: Journal, place: object) -> object:
        reads.append(place)
        return record(journal, place)  # type: ignore[arg-type]

    with closing(Journal(tmp_path / "j")) as journal:
        many: dict[str, Value] = {f"original_firstorder_{n}": float(n) for n in range(50)}
        result = journal.add_row("k1", CaseResult(ONE, "pass", values=many))
        monkeypatch.setattr(Journal, "_record", counted)
        fields, rows = fields_and_rows([result], None, "safe")
        assert len(fields) > 50
        assert len(list(rows)) == 1
    assert len(reads) == 2  # once to find the columns, once for the row


def test_numpy_numbers_are_written_as_what_they_are(tmp_path: Path) -> None:
    values = {"count": np.int64(5), "share": np.float32(0.5)}
    with closing(Journal(tmp_path / "j")) as journal:
        result = journal.add_row("k", CaseResult(ONE, "pass", values=values))  # type: ignore[arg-type]
    assert dict(result.values) == {"count": 5, "share": 0.5}
    assert isinstance(result.values["count"], int)


def test_failures_are_known_only_when_they_are_asked_for(tmp_path: Path) -> None:
    journal_with_two(tmp_path / "j")
    with closing(Journal(tmp_path / "j")) as journal:
        assert journal.known(TWO, failed=False) == frozenset()
        assert journal.known(TWO, failed=True) == {"k2"}
        assert journal.row("k2", TWO).fact == "no voxel"


def test_a_row_without_a_key_is_never_known(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "j")) as journal:
        result = journal.add_row("", CaseResult(ONE, "error", "crashed", "it crashed"))
        assert result.fact == "it crashed"
        assert journal.known(ONE, failed=True) == frozenset()
    with closing(Journal(tmp_path / "j")) as journal:
        assert journal.known(ONE, failed=True) == frozenset()


@pytest.mark.parametrize("cut", [1, 2, 40, 160])
def test_a_line_that_was_cut_off_counts_as_not_written(tmp_path: Path, cut: int) -> None:
    journal_with_two(tmp_path / "j")
    whole = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(whole[:-cut])
    for _ in range(2):
        with closing(Journal(tmp_path / "j")) as journal:
            expected = {"k2"} if cut == 1 else set()  # its text is whole without the line's end
            assert journal.known(TWO, failed=True) == expected
            assert journal.known(ONE, failed=False) == {"k1"}
            assert journal.damage() == ""  # nothing but what a kill leaves
    with closing(Journal(tmp_path / "j")) as journal:
        journal.add_row("k3", CaseResult(TWO, "pass", values={"x": 1.5}))
    with closing(Journal(tmp_path / "j")) as journal:
        assert journal.row("k3", TWO).values["x"] == 1.5
        assert journal.row("k1", ONE).values["n"] == 3


def hashed(text: str) -> bytes:
    """A line as a program would forge it: its hash fits, whatever it says."""
    kept = text.encode()[:-1]
    digest = hashlib.blake2b(kept, digest_size=16).hexdigest()
    return kept + f', "hash": "{digest}"}}'.encode()


ROW = {"row": "two", "key": "k2", "status": "pass", "reason": "", "fact": "", "values": {"n": 3}}
OTHER_LINES = {
    "a number": b"7",
    "a list": b'["row", "key"]',
    "null": b"null",
    "text": b'"row"',
    "NUL bytes": b"\0" * 600,
    "not UTF-8": b'{"row": "two\xff", "key": "k2"}',
    "deep": b"[" * 100_000,
    "digits": b"1" * 10_000,
    "a hash of nothing": b'{, "hash": "' + b"0" * 32 + b'"}',
    "a hashed list": hashed('[1, "k"]'),
    "a row of an earlier version": json.dumps(ROW).encode(),
    "no values": hashed(json.dumps(ROW | {"values": None})),
    "a list as a value": hashed(json.dumps(ROW | {"values": {"n": [1]}})),
    "another status": hashed(json.dumps(ROW | {"status": "fine"})),
    "a number as a key": hashed(json.dumps(ROW | {"key": 2})),
    "a mask without a digest": hashed('{"mask": "two", "key": "k2"}'),
    "a mask with numbers": hashed('{"mask": "two", "digest": 1, "key": 2, "scan": 3}'),
    "an unhashed mask with a list": b'{"mask": ["two"], "digest": "d", "key": "k", "scan": "s"}',
}


@pytest.mark.parametrize("kind", OTHER_LINES)
def test_a_line_that_is_no_record_counts_as_not_written_and_is_told_once(
    kind: str, tmp_path: Path
) -> None:
    journal_with_two(tmp_path / "j")
    first, mask, _ = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    (tmp_path / "j").write_bytes(first + OTHER_LINES[kind] + b"\n" + mask)
    with closing(Journal(tmp_path / "j")) as journal:
        assert journal.known(TWO, failed=True) == frozenset()
        assert journal.row("k1", ONE).values["n"] == 3
        assert journal.earlier_masks("one") == {"digest": MADE}
        assert journal.earlier_masks("two") == {}
        assert "1 line is damaged" in journal.damage()
        journal.add_row("k2", CaseResult(TWO, "pass", values={"n": 4}))
    with closing(Journal(tmp_path / "j")) as journal:
        assert journal.damage() == ""
        assert journal.row("k2", TWO).values["n"] == 4


def test_a_changed_digit_is_seen_and_the_older_line_of_that_row_counts(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "j")) as journal:
        for number in (1.25, 2.25):
            journal.add_row("k1", CaseResult(ONE, "pass", values={"x": number}))
    content = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(content.replace(b"2.25", b"7.25"))
    with closing(Journal(tmp_path / "j")) as journal:
        assert journal.row("k1", ONE).values["x"] == 1.25
        assert "1 line is damaged, edited" in journal.damage()


def test_a_line_without_end_is_never_held_in_memory(tmp_path: Path) -> None:
    journal_with_two(tmp_path / "j")
    with (tmp_path / "j").open("r+b") as file:
        file.seek(0, 2)
        file.truncate(file.tell() + (1 << 28))  # a hole
        file.seek(0, 2)
        file.write(b"\n")
    tracemalloc.start()
    with closing(Journal(tmp_path / "j")) as journal:
        assert journal.known(ONE, failed=False) == {"k1"}
        assert "1 line is damaged" in journal.damage()
    assert tracemalloc.get_traced_memory()[1] < 1 << 26
    tracemalloc.stop()


def test_a_journal_changed_while_it_is_in_use_ends_the_run(tmp_path: Path) -> None:
    journal_with_two(tmp_path / "j")
    with closing(Journal(tmp_path / "j")) as journal:
        (tmp_path / "j").write_bytes((tmp_path / "j").read_bytes().replace(b'"n": 3', b'"n": 4'))
        with pytest.raises(OSError, match="journal was changed while it was in use"):
            journal.row("k1", ONE)


def test_a_journal_of_two_names_is_changed_under_its_own_only(tmp_path: Path) -> None:
    journal_with_two(tmp_path / "j")
    os.link(tmp_path / "j", tmp_path / "copy")  # as cp -al makes it
    before = (tmp_path / "copy").read_bytes()
    with closing(Journal(tmp_path / "j")) as journal:
        journal.add_row("k3", CaseResult(TWO, "pass"))
    assert (tmp_path / "copy").read_bytes() == before
    assert (tmp_path / "j").read_bytes().startswith(before)
