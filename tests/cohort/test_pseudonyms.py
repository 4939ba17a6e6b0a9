"""Pseudonyms: keyed, stable, distinct; the key and the map stay out of the output."""

from __future__ import annotations

import csv
import hashlib
import hmac
import os
import re
from pathlib import Path

import pytest
from command_line import call

from pancseg import Case, CohortError, write_scan
from pancseg.cohort import pseudonyms
from pancseg.cohort.pseudonyms import (
    check_map_path,
    is_open_to_all,
    pseudonymised,
    read_key,
    write_map,
)
from pancseg.phantom import Phantom

KEY = b"sixteen bytes ok"
CASES = [
    Case("Müller", Path("a.nii.gz"), scan_id="base"),
    Case("Müller", Path("a.nii.gz"), scan_id="base", roi="tumour"),
    Case("base", Path("b.nii.gz")),
]


def test_a_pseudonym_is_a_truncated_hmac_of_the_composed_id() -> None:
    first, region, other = pseudonymised(CASES, KEY)
    digest = hmac.new(KEY, "pancseg patient id\0Müller".encode(), hashlib.sha256).hexdigest()
    assert first.patient_id == "p" + digest[:20]
    assert re.fullmatch(r"s[0-9a-f]{20}", first.scan_id)
    assert (region.scan_name, region.roi) == (first.scan_name, "tumour")
    assert other.scan_id == ""
    assert other.patient_id[1:] != first.scan_id[1:]  # one text, two domains
    assert (first.image, other.image) == (CASES[0].image, CASES[2].image)
    (decomposed,) = pseudonymised([Case("Mu\u0308ller", Path("a"), scan_id="base")], KEY)
    assert decomposed.name == first.name
    assert pseudonymised(CASES, KEY + b"!")[0].patient_id != first.patient_id


def test_names_of_files_that_are_not_utf_8_have_pseudonyms_too(tmp_path: Path) -> None:
    cases = [Case(os.fsdecode(b"M\xfcller"), Path("a"))]
    hidden = pseudonymised(cases, KEY)
    write_map(tmp_path / "map.csv", cases, hidden)
    assert b"M\xfcller,," + hidden[0].patient_id.encode() in (tmp_path / "map.csv").read_bytes()


def test_a_collision_is_refused_without_naming_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudonyms, "_DIGITS", 1)
    with pytest.raises(CohortError, match=r"^\d pseudonyms stand for two patient ids"):
        pseudonymised([Case(f"doe{n}", Path("a")) for n in range(17)], KEY)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_key_is_its_bytes_without_the_line_end(end: bytes, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY + end)
    assert read_key(tmp_path / "key", tmp_path / "out") == KEY


def test_random_bytes_may_begin_as_a_mark_does(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe" + bytes(range(150, 181)))
    assert len(read_key(tmp_path / "key", None)) == 33


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (KEY[:15] + b"\n", r"the key is 15 bytes long \(at least 16\)"),
        (b"k" * 70000, "longer than 65536 bytes"),
        (b"\xef\xbb\xbf" + KEY, "begins with a byte order mark"),
        ("key of some letters".encode("utf-16"), "begins with a byte order mark"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_key_that_is_none_is_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_key(tmp_path / "key", None)
    assert str(tmp_path) not in str(caught.value)


def test_key_and_map_stay_out_of_the_output(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "key").write_bytes(KEY)
    (tmp_path / "link").symlink_to(out / "key")
    (tmp_path / "door").symlink_to(out)
    for place in ("out/key", "link", "door/key", "out/deep/../key"):
        with pytest.raises(ValueError, match="is in the output folder"):
            read_key(tmp_path / place, out)
        with pytest.raises(ValueError, match="would be in the output folder"):
            check_map_path(tmp_path / place, out)
    assert read_key(out / "key", tmp_path / "elsewhere") == KEY
    assert read_key(out / "key", None) == KEY


def test_a_key_that_everybody_reads_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o644)
    assert is_open_to_all(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    assert not is_open_to_all(tmp_path / "key")


def test_the_map_has_each_scan_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    for _ in range(2):  # an earlier map is replaced
        check_map_path(path, tmp_path / "out")
        hidden = pseudonymised(CASES, KEY)
        write_map(path, CASES, hidden)
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["patient_id", "scan_id", "pseudonym_patient_id", "pseudonym_scan_id"]
    assert rows[1] == ["Müller", "base", hidden[0].patient_id, hidden[0].scan_id]
    assert rows[2:] == [["base", "", hidden[2].patient_id, ""]]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["map.csv"]


def test_the_map_replaces_no_other_file(tmp_path: Path) -> None:
    key, manifest = tmp_path / "key", tmp_path / "cohort.csv"
    key.write_bytes(KEY)
    manifest.write_text("patient_id,image\n")
    for path in (key, manifest, tmp_path):
        with pytest.raises(ValueError, match="not an id map"):
            check_map_path(path, tmp_path / "out")


def test_a_map_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_map(tmp_path / "map.csv", CASES, pseudonymised(CASES, KEY))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("command", ["extract", "check"])
def test_ids_and_pseudonyms_never_share_an_output(
    command: str, phantom: Phantom, tmp_path: Path
) -> None:
    """What a plain run leaves there (masks, journal, tables) would say who is who."""
    for folder in ("ct", "masks"):
        (tmp_path / folder).mkdir()
    write_scan(phantom.image, tmp_path / "ct" / "DOE_JOHN.nii.gz")
    write_scan(phantom.mask, tmp_path / "masks" / "DOE_JOHN.nii.gz")
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    shown, hidden = tmp_path / "shown", tmp_path / "hidden"
    words = ["--masks", tmp_path / "masks", "--config", "pyradiomics_default", "--quiet"]
    hide = ["--pseudonymise", tmp_path / "key"]
    cohort = [command, tmp_path / "ct", *words]

    def content(out: Path) -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in out.rglob("*") if p.is_file()}

    (hidden / ".pancseg").mkdir(parents=True)
    (hidden / ".pancseg" / "journal.jsonl").touch()  # of a run that was killed at its start
    for out, options, others, problem in (
        (shown, [], hide, "holds a run without --pseudonymise, whose ids would stay in it"),
        (hidden, hide, [], "holds a run under pseudonyms; give --pseudonymise"),
    ):
        assert call(*cohort, "--out", out, *options)[0] == 0
        before = content(out)
        code, told, refused = call(*cohort, "--out", out, *others)
        assert (code, told, refused.count("\n")) == (2, "", 1)
        assert problem in refused
        assert content(out) == before
        assert call(*cohort, "--out", out, *options)[0] == 0
    assert not any(b"DOE" in name.encode() + text for name, text in content(hidden).items())
    if command == "extract":
        for out, ids in ((shown, "as given"), (hidden, "pseudonyms")):
            assert f'"ids": "{ids}"' in (out / "provenance.json").read_text()
