"""DICOM headers as they are in the wild: read where they can only mean one thing, or named."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_series import write_series
from enhanced_ct import enhanced
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset

from pancseg import UnusableCase, read_scan
from pancseg.scans.arrays import voxel_array

JPEG_LS = (
    "/9j/9wALCwAQAAwBAREA/9oACAEBAAAAAK222vNteb1qBRdZrFqUyquAoqqqqiSWMaSSSSTTEkklVYYV"
    "VVVZgVVVVF9VV9F5/3F1/2lx/2lt/2lp/2ll/2lh/2ld/2j/2Q=="
)
"""16 × 12 pixels, 100 × row + 7 × column, packed by CharLS (pyjpegls 1.5.1)."""
Change = Callable[[FileDataset, int], object]
POSITIONS = [0.0, 2.0, 4.0, 6.0]
EXPLICIT, IMPLICIT, BIG = (f"1.2.840.10008.1.2{end}" for end in (".1", "", ".2"))
DEFLATED, JPEG2000 = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.90"


def series(folder: Path, change: Change | None = None) -> Path:
    write_series(folder, POSITIONS, "1.2.826.111", change=change)
    return folder


def encoded(folder: Path, syntax: str) -> Path:
    """Write a series in another native transfer syntax."""

    def change(ds: FileDataset, _: int) -> None:
        ds.file_meta.TransferSyntaxUID = syntax
        order = ">" if syntax == BIG else "<"
        ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(f"{order}i2").tobytes()

    write_series(folder, POSITIONS, "1.2.826.111")
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        change(ds, 0)
        pydicom.dcmwrite(path, ds, implicit_vr=syntax == IMPLICIT, little_endian=syntax != BIG)
    return folder


def edited(folder: Path, edit: Callable[[bytes], bytes]) -> Path:
    for path in folder.iterdir():
        path.write_bytes(edit(path.read_bytes()))
    return folder


def without_meta(content: bytes) -> bytes:
    """Return a data set without preamble, prefix and file meta information."""
    length = int.from_bytes(content[140:144], "little")  # group length: (0002,0000) UL 4
    return content[144 + length :]


def stating(syntax: str) -> Callable[[bytes], bytes]:
    """Return an edit that states another transfer syntax, and changes nothing else."""
    padded = syntax.encode() + b"\0" * (len(syntax) % 2)

    def edit(content: bytes) -> bytes:
        at = content.index(b"\x02\0\x10\0UI")
        old = int.from_bytes(content[at + 6 : at + 8], "little")
        group = int.from_bytes(content[140:144], "little") + len(padded) - old
        meta = content[:140] + group.to_bytes(4, "little") + content[144 : at + 6]
        return meta + len(padded).to_bytes(2, "little") + padded + content[at + 8 + old :]

    return edit


def with_vr(keyword: str, vr: str, value: Any) -> Change:
    tag = pydicom.datadict.tag_for_keyword(keyword)
    assert tag is not None
    return lambda ds, n: ds.__setitem__(
        tag, DataElement(tag, vr, value(n) if callable(value) else value)
    )


def assert_whole(folder: Path) -> None:
    image = read_scan(folder)
    assert image.GetSpacing() == pytest.approx((0.7, 0.7, 2.0))
    assert voxel_array(image)[:, 0, 0].tolist() == POSITIONS


def fact_of(folder: Path, code: str = "unreadable") -> str:
    with pytest.raises(UnusableCase) as caught:
        read_scan(folder)
    assert caught.value.code == code
    assert "\n" not in caught.value.fact
    return caught.value.fact


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize(
    "edit",
    [
        without_meta,
        lambda content: bytes(128) + b"DICM" + without_meta(content),
        lambda content: content[128:],
        lambda content: content[132:],
    ],
    ids=["data set alone", "no meta information", "no preamble", "no prefix"],
)
def test_files_without_their_beginning_are_read(
    edit: Callable[[bytes], bytes], syntax: str, tmp_path: Path
) -> None:
    edited(encoded(tmp_path / "ct", syntax), edit)
    for path in list((tmp_path / "ct").iterdir()):
        path.rename(path.with_suffix(""))
    assert_whole(tmp_path / "ct")


@pytest.mark.parametrize("stated", [EXPLICIT, IMPLICIT, BIG, JPEG2000, "DOE^JOHN"])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_wrong_transfer_syntax_does_not_matter_where_the_data_tell(
    syntax: str, stated: str, tmp_path: Path
) -> None:
    assert_whole(edited(encoded(tmp_path / "ct", syntax), stating(stated)))


def test_a_transfer_syntax_that_cannot_be_right_is_named(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct", lambda ds, _: setattr(ds, "PixelData", ds.PixelData + b"1234"))
    fact = fact_of(edited(folder, stating(JPEG2000)))
    assert "TransferSyntaxUID is JPEG 2000 Image Compression (Lossless Only), but" in fact
    assert "'Deflated Explicit VR" in fact_of(edited(folder, stating(DEFLATED)))


@pytest.mark.parametrize(
    "change",
    [
        with_vr("PixelSpacing", "UT", "0.7\\0.7"),
        with_vr("ImagePositionPatient", "FD", lambda n: [-10.0, -20.0, 2.0 * n]),
        with_vr("ImagePositionPatient", "UN", lambda n: f"-10\\-20\\{2 * n}".encode()),
        with_vr("ImagePositionPatient", "LO", lambda n: ["-10", "-20", f"{2 * n}"]),
        with_vr("RescaleIntercept", "SS", -1024),
        with_vr("Rows", "UL", 6),
        with_vr("Columns", "IS", "5"),
        with_vr("RescaleSlope", "LO", "1.00000000000000000000000000000000000"),
        with_vr("RescaleSlope", "DS", None),
        lambda ds, _: delattr(ds, "RescaleSlope"),
        with_vr("SliceThickness", "LO", "two"),
    ],
)  # fmt: skip
def test_values_that_can_mean_one_thing_only_are_read(change: Change, tmp_path: Path) -> None:
    assert_whole(series(tmp_path / "ct", change))


def test_a_value_of_odd_length_is_read(tmp_path: Path) -> None:
    even, odd = b"DS\x08\0-1024.0 ", b"DS\x07\0-1024.0"
    folder = edited(series(tmp_path / "ct"), lambda content: content.replace(even, odd))
    assert all(odd in path.read_bytes() for path in folder.iterdir())
    assert_whole(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_vr("PixelSpacing", "LO", ["3,0", "3,0"]),
         "PixelSpacing is 3,0 (expected a decimal point)"),
        (with_vr("PixelSpacing", "LO", ["DOE^JOHN", "3"]),
         "PixelSpacing is a text of 8 characters (expected a finite number)"),
        (with_vr("RescaleSlope", "LO", "19470312x"),
         "RescaleSlope is a text of 9 characters (expected a finite number)"),
        (with_vr("Rows", "UL", 19470312),
         "Rows is a number of 8 characters (expected a whole number)"),
        (with_vr("RescaleSlope", "FD", float("nan")), "RescaleSlope is not finite"),
        (with_vr("RescaleSlope", "LO", "nan"), "RescaleSlope is nan (expected a finite number)"),
        (with_vr("RescaleSlope", "UT", "1" * 20_000),
         "RescaleSlope is a text of 20000 bytes (expected a number)"),
        (with_vr("ImageOrientationPatient", "DS", ["1", "0", "0"]),
         "ImageOrientationPatient has 3 values (expected 6)"),
        (lambda ds, _: setattr(ds, "HighBit", 11),
         "HighBit is 11 (expected 15, as BitsStored is 16)"),
        (lambda ds, _: setattr(ds, "HighBit", 16),
         "HighBit is 16 (expected 15, as BitsStored is 16)"),
        (lambda ds, _: setattr(ds, "BitsAllocated", 12),
         "BitsAllocated is 12 (expected 8, 16 or 32)"),
        (lambda ds, _: delattr(ds, "BitsStored"), "BitsStored is missing"),
        (lambda ds, _: setattr(ds, "NumberOfFrames", 9_000_000),
         "NumberOfFrames is 9000000 (expected 1–150000)"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_read_is_named(change: Change, said: str, tmp_path: Path) -> None:
    assert fact_of(series(tmp_path / "ct", change)) == (
        f"4 of 4 CT slices in the folder cannot be read; {said}; correct the header, or export the "
        "series again"
    )


@pytest.mark.parametrize(("signed", "stored"), [(0, [0, 1024, 4095]), (1, [-2048, -5, 2047])])
def test_a_wrong_high_bit_does_not_matter_where_the_pixels_need_no_more_bits(
    signed: int, stored: list[int], tmp_path: Path
) -> None:
    """Upper bits that hold values would mean that these are shifted (PS3.5 of 2000, 8.1.1)."""

    def change(ds: FileDataset, number: int) -> None:
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 15, signed
        values = [*stored, *stored] if number < 3 else last
        ds.PixelData = np.array(values * 5, "<i2").tobytes()

    last = [*stored, *stored]
    image = voxel_array(read_scan(series(tmp_path / "ct", change)))
    assert image[0, 0].tolist() == [value - 1024 for value in (stored * 2)[:5]]
    last[-1] = 2 * 2048 if not signed else -2049
    fact = fact_of(series(tmp_path / "ct", change))
    assert fact == (
        "the DICOM series of 4 slices cannot be read: a slice has pixels of more than 12 bits, its "
        "HighBit is 15 (expected 11); copy or export it again"
    )


def test_different_faults_are_counted(tmp_path: Path) -> None:
    def change(ds: FileDataset, number: int) -> None:
        if number < 2:
            with_vr("PixelSpacing", "LO", ["3,0", "3,0"])(ds, number)
        elif number == 2:
            ds.HighBit = 11

    fact = fact_of(series(tmp_path / "ct", change))
    assert fact.startswith("3 of 4 CT slices in the folder cannot be read; PixelSpacing is 3,0")
    assert "decimal point) (2 of them); HighBit is 11" in fact


def test_slices_of_which_some_are_not_scaled_are_refused(tmp_path: Path) -> None:
    def change(ds: FileDataset, number: int) -> None:
        if number == 2:
            ds["RescaleIntercept"].value = None

    fact = fact_of(series(tmp_path / "ct", change), "not_hu")
    assert fact == "1 of 4 DICOM slices have no RescaleIntercept; export them again"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize(
    "tail",
    [b"\0", bytes(512), b"\xff" * 64, b"and some text", b"\xfc\xff\xfc\xffOB\0\0\4\0\0\0abcd"],
)
def test_what_follows_the_pixels_does_not_matter(tail: bytes, syntax: str, tmp_path: Path) -> None:
    assert_whole(edited(encoded(tmp_path / "ct", syntax), lambda content: content + tail))


def test_only_known_words_of_a_header_are_shown(tmp_path: Path) -> None:
    for number, (keyword, value, code, said) in enumerate(
        (
            ("Modality", "DOEJOHN", "not_hu", "the DICOM images are of an unknown modality, not"),
            ("Modality", "MR", "not_hu", "the DICOM images are of modality MR, not CT"),
            ("PhotometricInterpretation", "PALETTE COLOR", "not_scalar", "pixel (PALETTE COLOR),"),
        )
    ):
        folder = series(tmp_path / str(number), lambda ds, _, k=keyword, v=value: setattr(ds, k, v))
        assert said in fact_of(folder, code)
    assert_whole(
        series(tmp_path / "x", lambda ds, _: setattr(ds, "PhotometricInterpretation", "DOE"))
    )


@pytest.mark.parametrize("keyword", ["SeriesDescription", "ImageComments", "ContrastBolusAgent"])
@pytest.mark.parametrize("text", ["1" * 240_000, "ven w/" * 40_000, "\\" * 240_000])
def test_long_texts_cost_nothing(keyword: str, text: str, tmp_path: Path) -> None:
    folder = series(tmp_path / "ct", with_vr(keyword, "UT", text))
    start = time.process_time()
    assert_whole(folder)
    assert time.process_time() - start < 30  # quadratic work takes minutes


@pytest.mark.parametrize("table", [True, False])
def test_a_frame_may_be_in_several_fragments(table: bool, tmp_path: Path) -> None:
    """PS3.5, A.4; by the offset table, or by where codestreams begin."""
    packed = base64.b64decode(JPEG_LS)
    cuts = ((0, None), (0, 40, None), (0, 20, 60, None))
    frames = [[packed[a:b] for a, b in pairwise(cut)] for cut in cuts]
    ds = enhanced(3)
    ds.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
    ds.PixelData = encapsulate_fragments(frames, table=table)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    (tmp_path / "ct").mkdir()
    ds.save_as(tmp_path / "ct" / "frames.dcm", enforce_file_format=True)
    expected = 100 * np.arange(16)[:, None] + 7 * np.arange(12) - 1024
    found = voxel_array(read_scan(tmp_path / "ct"))
    np.testing.assert_array_equal(found, np.broadcast_to(expected, (3, 16, 12)))


def test_fragments_that_fit_no_frames_are_counted(tmp_path: Path) -> None:
    ds = enhanced(3)
    ds.file_meta.TransferSyntaxUID = pydicom.uid.RLELossless
    ds.PixelData = encapsulate_fragments([[bytes(64)]] * 4, table=False)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    (tmp_path / "ct").mkdir()
    ds.save_as(tmp_path / "ct" / "frames.dcm", enforce_file_format=True)
    assert "the pixels are 4 fragments for 3 frames" in fact_of(tmp_path / "ct")


def encapsulate_fragments(frames: list[list[bytes]], *, table: bool) -> bytes:
    """Return packed pixels, with or without a basic offset table."""
    starts, content = [], b""
    for fragments in frames:
        starts.append(len(content))
        for fragment in fragments:
            padded = fragment + b"\0" * (len(fragment) % 2)
            content += b"\xfe\xff\0\xe0" + len(padded).to_bytes(4, "little") + padded
    offsets = np.array(starts if table else [], "<u4").tobytes()
    head = b"\xfe\xff\0\xe0" + len(offsets).to_bytes(4, "little") + offsets
    return head + content + b"\xfe\xff\xdd\xe0\0\0\0\0"


EMPTY_ITEM, END = b"\xfe\xff\0\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
OPEN_ITEM, PRIVATE = b"\xfe\xff\0\xe0" + b"\xff" * 4, b"\x41\0\x10\x10SQ\0\0" + b"\xff" * 4
PER_FRAME = b"\x00\x52\x30\x92SQ\0\0"


@pytest.mark.parametrize(
    ("bomb", "said"),
    [
        (PER_FRAME + (8 * 5000).to_bytes(4, "little") + EMPTY_ITEM * 5000, "3,000 items"),
        (PER_FRAME + b"\xff" * 4 + EMPTY_ITEM * 5000 + END, "3,000 items"),
        (PRIVATE + EMPTY_ITEM * 5000 + END, "4,000 elements"),
        (b"\x41\0\x10\x10LO\0\0" * 5000, "4,000 elements"),
        ((PRIVATE + OPEN_ITEM) * 5000, "sequences nested more than 32 deep"),
        ((PER_FRAME + b"\xff" * 4 + OPEN_ITEM) * 5000, "sequences nested more than 32 deep"),
    ],
    ids=["items", "items without an end", "private items", "elements", "depth", "wanted depth"],
)
def test_the_work_on_a_header_is_bounded(
    bomb: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here with smaller bounds; tests/robustness measures time and memory at the real ones."""
    monkeypatch.setattr("pancseg.scans.dicom.elements.MOST_ITEMS", 3000)
    monkeypatch.setattr("pancseg.scans.dicom.elements.MOST_ELEMENTS", 4000)
    folder = series(tmp_path / "ct")
    assert_whole(folder)
    path = next(folder.iterdir())
    at = (content := path.read_bytes()).index(b"\xe0\x7f\x10\0OW")
    path.write_bytes(content[:at] + bomb + content[at:])
    assert said in fact_of(folder)


def test_nested_sequences_as_scanners_write_them_are_read(tmp_path: Path) -> None:
    """Also an icon with packed pixels, and sequences that an archive passed on as UN."""
    icon = b"\x88\0\0\x02SQ\0\0" + b"\xff" * 4 + OPEN_ITEM
    icon += b"\xe0\x7f\x10\0OB\0\0" + b"\xff" * 4 + EMPTY_ITEM
    icon += b"\xfe\xff\0\xe0\4\0\0\0abcd" + END + b"\xfe\xff\x0d\xe0" + bytes(4) + END
    unknown = b"\x99\0\x10\x10UN\0\0" + b"\xff" * 4 + OPEN_ITEM
    unknown += b"\x99\0\x11\x10\4\0\0\0abcd" + b"\xfe\xff\x0d\xe0" + bytes(4) + END
    folder = series(tmp_path / "ct")
    pixels = b"\xe0\x7f\x10\0OW"
    assert_whole(edited(folder, lambda b: b.replace(pixels, icon + unknown + pixels)))
