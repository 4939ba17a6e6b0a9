"""A key is that of the bytes: not of names, and of all that belongs to an image."""

from __future__ import annotations

import gzip
import os
import struct
import time
from pathlib import Path

import pytest

from pancseg import read_scan
from pancseg.running import keys
from pancseg.scans.arrays import voxel_array

VOXELS = bytes(range(48))
NRRD = (
    "NRRD0004\ntype: int16\ndimension: 3\nsizes: 2 3 4\nspacings: 1 1 1\nencoding: raw\n"
    "endian: little\n"
)
META = (
    "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_SHORT\n"
    "ElementSpacing = 1 1 1\n"
)


def nifti(voxels: bytes = VOXELS, sizes: tuple[int, ...] = (2, 3, 4)) -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *sizes, 1, 1, 1, 1)
    struct.pack_into("<3h8f3f", header, 70, 4, 16, 0, *[1] * 8, 352, 1, 0)
    header[344:348] = b"n+1\0"
    return bytes(header) + voxels


def test_a_file_is_its_bytes_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(nifti())
    (tmp_path / "b.nii").write_bytes(nifti())
    (tmp_path / "c.nii").write_bytes(nifti(VOXELS[::-1]))
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


@pytest.mark.parametrize(
    ("name", "header", "data"),
    [
        ("a.mhd", META + "ElementDataFile = a.raw\n", "a.raw"),
        ("a.mha", META + "ElementDataFile = a.raw\n", "a.raw"),
        ("a.mhd", META + "ElementDataFile = ./sub/a.raw\n", "sub/a.raw"),
        ("a.mhd", META + " ElementDataFile\t=\t a.raw \n", "a.raw"),
        ("a.mhd", META + "\tElementDataFile=a.raw\r\n", "a.raw"),
        ("a.mhd", META + "ElementDataFile = sub\\a.raw\n", "sub/a.raw"),
        ("a.mhd", META + "ElementDataFile = listed ä.raw\n", "listed ä.raw"),
        ("a.nhdr", NRRD + "data file: a.raw\n\n", "a.raw"),
        ("a.nrrd", NRRD + "data file: a.raw\n\n", "a.raw"),
        ("a.nhdr", NRRD + "datafile:\ta.raw\n", "a.raw"),
        ("a.nhdr", NRRD + " data file : a.raw\n\n", "a.raw"),
        ("a.nhdr", f"{NRRD}# {'x' * 100_000}\nDATA FILE: a.raw\n\n", "a.raw"),
        ("a.nhdr", f"{NRRD}note:={'x' * 100_000}\nbyte skip: -1\ndata file: a.raw\n\n", "a.raw"),
    ],
)
def test_voxels_beside_a_header_count_wherever_the_reader_finds_them(
    name: str, header: str, data: str, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / name).write_text(header, encoding="utf-8", newline="")
    found = {}
    for voxels in (VOXELS, VOXELS[::-1]):
        (tmp_path / data).write_bytes(voxels)
        assert voxel_array(read_scan(tmp_path / name)).tobytes() == voxels
        found[keys.of_files(tmp_path / name)] = voxels
    assert len(found) == 2
    assert all(map(len, found))


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.mhd", META + "ElementDataFile = LIST\na1.raw\na2.raw\n"),
        ("a.mhd", META + "ElementDataFile = a%d.raw 1 2 1\n"),
        ("a.mhd", META + "HeaderSize = 8\nElementDataFile = a1.raw\n"),
        ("a.mhd", META + "ElementDataFile = gone.raw\n"),
        ("a.nhdr", NRRD + "data file: LIST\na1.raw\na2.raw\n"),
        ("a.nhdr", NRRD + "data file: a%d.raw 1 2 1\n\n"),
        ("a.nhdr", NRRD + "line skip: 1\ndata file: a1.raw\n\n"),
        ("a.nhdr", NRRD + "data file: pipe\n\n"),
        ("a.nhdr", "NRRD0004\ndata file: a1.raw\n\n"),
        ("a.nrrd", NRRD + "data file: a1.raw\n\n" + "x" * (1 << 20)),
    ],
)
def test_a_header_that_the_reader_does_not_understand_leaves_no_key(
    name: str, header: str, tmp_path: Path
) -> None:
    (tmp_path / "a1.raw").write_bytes(VOXELS)
    (tmp_path / "a2.raw").write_bytes(VOXELS)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / name).write_text(header, encoding="utf-8")
    assert keys.of_files(tmp_path / name) == ""


def test_a_file_with_its_own_data_is_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(NRRD.encode() + b"\n" + VOXELS)
    assert keys.of_files(tmp_path / "a.nrrd") == keys.of_file(tmp_path / "a.nrrd")
    (tmp_path / "a.mha").write_bytes(f"{META}ElementDataFile = local\n".encode() + VOXELS)
    assert keys.of_files(tmp_path / "a.mha") == keys.of_file(tmp_path / "a.mha")


def test_the_voxels_alone_of_a_larger_file_count(tmp_path: Path) -> None:
    """Several volumes may lie one after another in a raw file."""
    (tmp_path / "a.nhdr").write_text(NRRD + "byte skip: 100\ndata file: a.raw\n\n")
    (tmp_path / "a.raw").write_bytes(bytes(100) + VOXELS)
    before = keys.of_files(tmp_path / "a.nhdr")
    (tmp_path / "a.raw").write_bytes(bytes([7] * 100) + VOXELS)
    assert keys.of_files(tmp_path / "a.nhdr") == before != ""


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("a.nii", nifti(b"")),
        ("a.nii", b""),
        ("a.nii.gz", b""),
        ("a.nii.gz", gzip.compress(nifti())),
        ("a.nrrd", NRRD.encode() + b"\n"),
        ("a.nrrd", NRRD.replace("raw", "gzip").encode() + b"\n"),
        ("a.mha", META.encode() + b"ElementDataFile = LOCAL\n"),
        ("a.nii", nifti(b"", (30_000, 30_000, 100))),
        ("1.dcm", b"\0" * 128 + b"DICM"),
    ],
)
def test_holes_are_not_hashed(name: str, beginning: bytes, tmp_path: Path) -> None:
    """200 GB, which would take minutes."""
    with (tmp_path / name).open("wb") as file:
        file.write(beginning)
        file.truncate(200 * 10**9)
    start = time.process_time()
    assert keys.of_files(tmp_path if name == "1.dcm" else tmp_path / name) == ""
    assert time.process_time() - start < 20


def test_a_slice_that_is_gone_leaves_no_key(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b"\0" * 128 + b"DICM" + b"1")
    (tmp_path / "2.dcm").symlink_to(tmp_path / "gone")
    assert keys.of_files(tmp_path) == ""


def test_what_cannot_be_read_has_no_key_and_blocks_nothing(tmp_path: Path) -> None:
    suffixes = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm")
    for suffix in suffixes:
        os.mkfifo(tmp_path / f"pipe{suffix}")
        (tmp_path / f"device{suffix}").symlink_to("/dev/zero")
        (tmp_path / f"loop{suffix}").symlink_to(tmp_path / f"loop{suffix}")
    for name in (f"{what}{s}" for what in ("pipe", "device", "loop", "none") for s in suffixes):
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
