"""A key is that of the bytes: not of names, and of all that belongs to an image."""

from __future__ import annotations

import os
from pathlib import Path

from pancseg.running import keys


def test_a_file_is_its_bytes_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"1")
    (tmp_path / "b.nii").write_bytes(b"1")
    (tmp_path / "c.nii").write_bytes(b"2")
    a, b, c = (keys.of_files(tmp_path / f"{name}.nii") for name in "abc")
    assert a == b != c
    assert len(a) == 64


def test_a_folder_is_its_files_whatever_their_names(tmp_path: Path) -> None:
    for folder, names in (("one", "12"), ("two", "xy"), ("three", "1")):
        (tmp_path / folder).mkdir()
        for name, content in zip(names, b"ab", strict=False):
            (tmp_path / folder / name).write_bytes(b"\0" * 128 + b"DICM" + bytes([content]))
    one, two, three = (keys.of_files(tmp_path / f) for f in ("one", "two", "three"))
    assert one == two != three


def test_what_lies_beside_slices_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b"\0" * 128 + b"DICM" + b"1")
    before = keys.of_files(tmp_path)
    (tmp_path / ".DS_Store").write_bytes(b"1")
    (tmp_path / "._1.dcm").write_bytes(b"1")
    (tmp_path / "Thumbs.db").write_bytes(b"1")
    report = b"\x02\0\x02\0UI\x1e\x001.2.840.10008.5.1.4.1.1.88.67\0"
    (tmp_path / "dose").write_bytes(b"\0" * 128 + b"DICM" + report)
    assert keys.of_files(tmp_path) == before
    (tmp_path / "2.dcm").write_bytes(b"a damaged slice")
    assert keys.of_files(tmp_path) != before


def test_the_data_beside_a_header_count(tmp_path: Path) -> None:
    for name, header in (
        ("a.mhd", b"ObjectType = Image\nElementDataFile = a.raw\n"),
        ("a.nhdr", b"NRRD0004\ndata file: a.raw\n\n"),
        ("a.nrrd", b"NRRD0004\ndata file: a.raw\n\n"),
        ("a.mha", b"ObjectType = Image\nElementDataFile = a.raw\n"),
        ("b.mhd", b"ObjectType = Image\nElementDataFile = ./sub/a.raw\n"),
    ):
        (tmp_path / name).write_bytes(header)
        (tmp_path / "sub").mkdir(exist_ok=True)
        data = tmp_path / ("sub/a.raw" if b"sub" in header else "a.raw")
        data.write_bytes(b"1")
        before = keys.of_files(tmp_path / name)
        assert before
        data.write_bytes(b"2")
        assert keys.of_files(tmp_path / name) != before


def test_a_file_with_its_own_data_is_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(b"NRRD0004\n\nvoxels")
    assert keys.of_files(tmp_path / "a.nrrd") == keys.of_file(tmp_path / "a.nrrd")


def test_a_slice_that_is_gone_leaves_no_key(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b"\0" * 128 + b"DICM" + b"1")
    (tmp_path / "2.dcm").symlink_to(tmp_path / "gone")
    assert keys.of_files(tmp_path) == ""


def test_what_cannot_be_read_has_no_key_and_blocks_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    os.symlink(tmp_path / "loop.nii", tmp_path / "loop.nii")
    for name in ("pipe.nii", "loop.nii", "nothing.nii"):
        assert keys.of_files(tmp_path / name) == ""
    assert keys.of_files(Path("/dev/zero")) == ""
    (tmp_path / "odd.mhd").write_bytes(b"ElementDataFile = a\0b.raw\n")
    keys.of_files(tmp_path / "odd.mhd")


def test_the_result_version_is_part_of_a_key(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    before, mask = keys.of_row("a", 1), keys.of_mask("a", 1)
    assert keys.of_row("a", 1) == before != mask
    monkeypatch.setattr(keys, "RESULT_VERSION", keys.RESULT_VERSION + 1)
    assert keys.of_row("a", 1) != before
    assert keys.of_mask("a", 1) == mask
    monkeypatch.setattr(keys, "MASK_VERSION", keys.MASK_VERSION + 1)
    assert keys.of_mask("a", 1) != mask
