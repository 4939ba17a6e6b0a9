"""No slice of a series is dropped without a word, wherever it lies; copies are left out."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
import SimpleITK as sitk
from dicom_series import write_series

from pancseg import QualityLimits, UnusableCase, judge_scan, read_scan
from pancseg.running import keys
from pancseg.scans.arrays import voxel_array

POSITIONS = [2.0 * number for number in range(7)]
UID = "1.2.826.111"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A series of seven slices, 0.dcm to 6.dcm in the order of space."""
    write_series(tmp_path / "made", POSITIONS, UID)
    (tmp_path / "ct").mkdir()
    for path in (tmp_path / "made").iterdir():
        number = pydicom.dcmread(path).InstanceNumber - 1
        path.rename(tmp_path / "ct" / f"{number}.dcm")
    (tmp_path / "made").rmdir()
    return tmp_path / "ct"


def last(folder: Path) -> list[Path]:
    """Return the last three slices, whose absence leaves no gap."""
    return [folder / f"{number}.dcm" for number in (4, 5, 6)]


def refusal(folder: Path, **options: str) -> UnusableCase:
    with pytest.raises(UnusableCase) as caught:
        read_scan(folder, **options)
    assert UID not in caught.value.fact
    assert "dcm" not in caught.value.fact
    return caught.value


def positions_of(image: sitk.Image) -> list[float]:
    return [float(value) for value in voxel_array(image)[:, 0, 0]]


def _below(folder: Path) -> None:
    (folder / "more" / "and" / "more").mkdir(parents=True)
    for path in last(folder):
        path.rename(folder / "more" / "and" / "more" / path.name)


def _in_two(folder: Path) -> None:
    for number, path in enumerate(last(folder)):
        (folder / str(number % 2)).mkdir(exist_ok=True)
        path.rename(folder / str(number % 2) / path.stem)


def _linked(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    for path in last(folder):
        path.rename(folder.parent / "elsewhere" / path.name)
    (folder / "link").symlink_to(folder.parent / "elsewhere")


def _damaged_below(folder: Path) -> None:
    _below(folder)
    for path in (folder / "more" / "and" / "more").iterdir():
        path.write_bytes(path.read_bytes()[:-10])


def _hidden(folder: Path) -> None:
    for path in last(folder):
        path.rename(folder / f".{path.name}")


def _packed_by(compress: Callable[[bytes], bytes], suffix: str) -> Callable[[Path], None]:
    def pack(folder: Path) -> None:
        for path in last(folder):
            (folder / f"{path.name}{suffix}").write_bytes(compress(path.read_bytes()))
            path.unlink()

    return pack


def _zipped(folder: Path) -> None:
    for path in last(folder):
        with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("inside")
            archive.write(path, "inside/1.dcm")
        path.unlink()


ELSEWHERE: dict[str, tuple[Callable[[Path], None], str]] = {
    "in a subfolder": (_below, "3 in subfolders"),
    "in two subfolders": (_in_two, "3 in subfolders"),
    "in a linked subfolder": (_linked, "3 in subfolders"),
    "damaged, in a subfolder": (_damaged_below, "3 in subfolders"),
    "hidden": (_hidden, "3 hidden"),
    "gzip": (_packed_by(gzip.compress, ".gz"), "3 packed"),
    "bzip2": (_packed_by(bz2.compress, ".bz2"), "3 packed"),
    "xz": (_packed_by(lzma.compress, ".xz"), "3 packed"),
    "zip": (_zipped, "3 packed"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_slices_that_are_not_read_are_counted(name: str, folder: Path) -> None:
    move, where = ELSEWHERE[name]
    whole = keys.of_files(folder)
    move(folder)
    error = refusal(folder)
    assert error.code == "uneven_slices"
    assert error.fact.startswith("4 of 7 files of the series are in the folder itself, the others")
    assert where in error.fact
    moved = keys.of_files(folder)
    assert moved != whole
    for path in folder.iterdir():  # without the others, the key is another one too
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.suffix != ".dcm" or path.name.startswith("."):
            path.unlink()
    assert keys.of_files(folder) not in (whole, moved)
    assert positions_of(read_scan(folder)) == POSITIONS[:4]


def _renamed(folder: Path) -> None:
    for path, suffix in zip(last(folder), (".IMA", ".DCM", ".dcm.bak"), strict=True):
        path.rename(path.with_suffix(suffix))


def _bare_without_suffix(folder: Path) -> None:
    for path in last(folder):
        content = path.read_bytes()
        start = 144 + int.from_bytes(content[140:144], "little")
        path.with_suffix("").write_bytes(content[start:])
        path.unlink()


def _linked_slices(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    for path in last(folder):
        path.rename(folder.parent / "elsewhere" / path.name)
        path.symlink_to(folder.parent / "elsewhere" / path.name)


def _copies_elsewhere(folder: Path) -> None:
    (folder / "backup").mkdir()
    for path in last(folder):
        shutil.copy(path, folder / "backup")
        shutil.copy(path, folder / f".{path.name}")
    (folder / "up").symlink_to(folder.parent)


def _another_series_below(folder: Path) -> None:
    write_series(folder / "other", POSITIONS, "1.2.826.222")
    (folder / "notes.zip").write_bytes(b"PK\x03\x04 damaged")
    (folder / "notes.gz").write_bytes(b"\x1f\x8b damaged")


@pytest.mark.parametrize(
    "change",
    [_renamed, _bare_without_suffix, _linked_slices, _copies_elsewhere, _another_series_below],
)
def test_all_slices_are_read(change: Callable[[Path], None], folder: Path) -> None:
    change(folder)
    assert positions_of(read_scan(folder)) == POSITIONS


def test_other_bytes_under_the_name_of_a_slice_are_a_damaged_slice(folder: Path) -> None:
    for path in folder.iterdir():
        path.rename(folder / f"IM{int(path.stem):06}")
    (folder / "IM000006").write_bytes(os.urandom(2000))
    assert refusal(folder).fact == (
        "1 of 7 CT slices in the folder are damaged; it does not begin like a DICOM file; copy or "
        "export the series again"
    )
    (folder / "IM000006").rename(folder / "thumbnails")
    assert positions_of(read_scan(folder)) == POSITIONS[:-1]


def test_a_slice_that_cannot_be_opened_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root may open anything, both ways of opening a file are made to fail."""

    def denying(opened: Callable[..., Any]) -> Callable[..., Any]:
        def denied(path: Path, *words: Any) -> Any:
            if Path(path).name == "3.dcm":
                raise PermissionError(13, "Permission denied", str(path))
            return opened(path, *words)

        return denied

    monkeypatch.setattr(Path, "open", denying(Path.open))
    monkeypatch.setattr(os, "open", denying(os.open))
    assert refusal(folder).fact.startswith(
        "1 of 7 CT slices in the folder cannot be read; the file cannot be opened (Permission"
    )
    assert keys.of_files(folder) == ""
    (folder / "more").mkdir()
    (folder / "3.dcm").rename(folder / "more" / "3.dcm")
    assert "a file or folder inside the series' folder cannot" in refusal(folder).fact


def test_a_slice_missing_in_the_middle_is_seen(folder: Path) -> None:
    (folder / "3.dcm").unlink()
    error = refusal(folder)
    assert error.code == "uneven_slices"
    assert "2.00 to 4.00 mm apart" in error.fact


def _same_bytes(folder: Path) -> None:
    shutil.copy(folder / "2.dcm", folder / "2 (1).dcm")
    shutil.copy(folder / "5.dcm", folder / "copy of 5")


def _same_image(folder: Path) -> None:
    for number in (2, 5):
        ds = pydicom.dcmread(folder / f"{number}.dcm")
        ds.PatientName, ds.SeriesDescription = "ANONYMOUS", "sent again"
        ds.save_as(folder / f"{number}_again.dcm")


@pytest.mark.parametrize("copy", [_same_bytes, _same_image])
def test_copies_of_slices_are_left_out_and_told(copy: Callable[[Path], None], folder: Path) -> None:
    clean = read_scan(folder)
    copy(folder)
    scan = read_scan(folder)
    assert positions_of(scan) == POSITIONS
    assert (scan.GetSpacing(), scan.GetOrigin()) == (clean.GetSpacing(), clean.GetOrigin())
    findings = [f for f in judge_scan(scan, QualityLimits()).findings if f.code != "not_hu"]
    assert [(f.code, f.grade, f.fact) for f in findings] == [
        ("uneven_slices", "warn",
         "2 DICOM files are copies of others, to the last pixel, and left out"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))),
        lambda ds: setattr(ds, "SOPInstanceUID", "1.2.3.4"),
        lambda ds: setattr(ds, "RescaleSlope", 2),
    ],
    ids=["other pixels", "another UID", "another scale"],
)
def test_a_doubled_slice_that_is_no_copy_is_refused(
    change: Callable[[pydicom.FileDataset], None], folder: Path
) -> None:
    ds = pydicom.dcmread(folder / "2.dcm")
    change(ds)
    ds.save_as(folder / "again.dcm")
    error = refusal(folder)
    assert error.code == "uneven_slices"
    assert error.fact.startswith(
        "1 of 8 slices are where another slice is, but are no exact copies"
    )


def test_copies_of_a_series_are_no_other_scan(folder: Path) -> None:
    """Also where a series is named, and where all of it is there twice."""
    for path in list(folder.iterdir()):
        shutil.copy(path, folder / f"copy {path.name}")
    write_series(folder, POSITIONS, "1.2.826.222")
    assert refusal(folder).code == "several_series"
    assert positions_of(read_scan(folder, series_uid="111")) == POSITIONS


def test_a_damaged_slice_of_another_series_does_not_matter_if_one_is_named(folder: Path) -> None:
    write_series(folder, POSITIONS[:3], "1.2.826.222")
    for path in folder.glob("222-*"):
        path.write_bytes(path.read_bytes()[:-10])
    assert refusal(folder).code == "several_series"
    assert positions_of(read_scan(folder, series_uid="111")) == POSITIONS
    assert refusal(folder, series_uid="222").code == "unreadable"
    for path in folder.glob("222-*"):
        content = path.read_bytes()
        path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
    assert "syntax 'unknown' is not supported" in refusal(folder, series_uid="222").fact
    assert positions_of(read_scan(folder, series_uid="111")) == POSITIONS


def test_subfolders_that_cannot_be_searched_are_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "notes.txt").touch()
    (folder / "more" / "more.txt").touch()
    assert positions_of(read_scan(folder)) == POSITIONS
    monkeypatch.setattr("pancseg.scans.dicom.folder.MOST_FILES", 1)
    assert "hold more than" in refusal(folder).fact
    inside = Path.iterdir

    def denied(path: Path) -> object:
        if path.name in ("more", "lost+found"):
            raise PermissionError(13, "Permission denied", str(path))
        return inside(path)

    monkeypatch.setattr(Path, "iterdir", denied)
    assert "a file or folder inside the series' folder cannot be opened" in refusal(folder).fact
    (folder / "more").rename(folder / "lost+found")
    assert positions_of(read_scan(folder)) == POSITIONS


def test_a_series_in_two_subfolders_is_counted(folder: Path) -> None:
    for number, path in enumerate(sorted(folder.iterdir())):
        (folder / str(number % 2)).mkdir(exist_ok=True)
        path.rename(folder / str(number % 2) / path.name)
    error = refusal(folder)
    assert error.code == "uneven_slices"
    assert error.fact == "the 7 slices of the series lie in 2 folders; put them into one"


@pytest.mark.parametrize("uid", ["1.2.3", ""])
def test_slices_are_counted_though_all_have_one_uid_or_none(uid: str, folder: Path) -> None:
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        ds.SOPInstanceUID = uid
        ds.save_as(path)
    assert positions_of(read_scan(folder)) == POSITIONS
    _below(folder)
    assert "4 of 7 files" in refusal(folder).fact
    assert "(3 in subfolders)" in refusal(folder).fact
