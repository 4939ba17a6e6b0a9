"""Broken and hostile scans, each made by one function, with what has to become of it.

``RIGHT`` means that reading gives the voxels of ``small_files.voxels``; else it is a reason's code.
To add one: a function with ``@made(name, what has to become of it)`` that returns its path.
"""

from __future__ import annotations

import gzip
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import SimpleITK as sitk
import small_files as small

RIGHT = "right"
Maker = Callable[[Path], Path]
BROKEN: dict[str, tuple[Maker, str]] = {}


def made(name: str, becomes: str) -> Callable[[Maker], Maker]:
    def keep(maker: Maker) -> Maker:
        assert name not in BROKEN
        BROKEN[name] = (maker, becomes)
        return maker

    return keep


def header_with(folder: Path, *changes: tuple[int, str, tuple[Any, ...]]) -> Path:
    """Write a NIfTI-1 file and change fields: offset, struct format, values."""
    path = small.write(folder / "scan.nii")
    content = bytearray(path.read_bytes())
    for offset, form, values in changes:
        struct.pack_into(form, content, offset, *values)
    path.write_bytes(content)
    return path


def zipped(path: Path, content: bytes, level: int = 6) -> Path:
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(content, level, mtime=0))
    path.unlink()
    return target


def _add(name: str, becomes: str, *changes: tuple[int, str, tuple[Any, ...]]) -> None:
    made(name, becomes)(lambda folder: header_with(folder, *changes))


# -- NIfTI headers ------------------------------------------------------------------------------
_add("nifti: negative size", "unreadable", (42, "<h", (-12,)))
_add("nifti: size zero", "unreadable", (44, "<h", (0,)))
_add("nifti: 70 terabytes", "unreadable", (42, "<3h", (32767, 32767, 32767)))
_add("nifti: one slice too many", "unreadable", (46, "<h", (7,)))
_add("nifti: zero axes", "unreadable", (40, "<h", (0,)))
_add("nifti: 300 axes", "unreadable", (40, "<h", (300,)))
_add("nifti: five axes", "not_3d", (40, "<h", (5,)), (46, "<3h", (2, 3, 1)), (52, "<h", (1,)))
_add("nifti: five real axes", "not_3d", (40, "<6h", (5, 4, 4, 4, 3, 2)))
_add("nifti: voxels begin beyond the file", "unreadable", (108, "<f", (1e6,)))
_add("nifti: voxels begin in the header", "unreadable", (108, "<f", (10.0,)))
_add("nifti: voxels begin nowhere", "unreadable", (108, "<f", (float("nan"),)))
_add("nifti: voxels begin after a terabyte", "unreadable", (108, "<f", (1e12,)))
_add("nifti: data type against bits", "unreadable", (72, "<h", (8,)))
_add("nifti: unknown data type", "unreadable", (70, "<hh", (77, 16)))
_add("nifti: one bit per voxel", "unreadable", (70, "<hh", (1, 1)))
_add("nifti: 128-bit floats", "unreadable", (70, "<hh", (1536, 128)))
_add("nifti: complex", "not_scalar", (70, "<hh", (32, 64)))
_add("nifti: RGB", "not_scalar", (70, "<hh", (128, 24)))
_add("nifti: negative spacing", "geometry", (80, "<f", (-0.75,)))
_add("nifti: spacing zero", "geometry", (88, "<f", (0.0,)))
_add("nifti: spacing NaN", "geometry", (84, "<f", (float("nan"),)))
_add("nifti: spacing infinite", "geometry", (88, "<f", (float("inf"),)))
_add("nifti: spacing contradicts sform", "geometry", (88, "<f", (5.0,)))
_add("nifti: origin NaN", "geometry", (268, "<f", (float("nan"),)), (292, "<f", (float("nan"),)))
_add("nifti: sform of zeros", "geometry", (252, "<h", (0,)), (280, "<12f", (0.0,) * 12))
_add("nifti: sform singular", "geometry", (280, "<12f", (1.0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0)))
_add("nifti: sform contradicts qform", "geometry", (292, "<f", (40.0,)))
_add("nifti: sheared sform", "geometry", (252, "<h", (0,)), (288, "<f", (0.9,)))
_add("nifti: quaternion longer than one", "geometry", (256, "<3f", (3.0, 4.0, 5.0)))
_add("nifti: slope zero means none", RIGHT, (112, "<ff", (0.0, 5.0)))
_add("nifti: slope NaN means none", RIGHT, (112, "<ff", (float("nan"), 0.0)))
_add("nifti: slope infinite", "not_hu", (112, "<ff", (float("inf"), 0.0)))
_add("nifti: intercept NaN", "not_hu", (112, "<ff", (2.0, float("nan"))))
_add("nifti: slope beyond all numbers", "not_hu", (112, "<ff", (3e38, 0.0)))
_add("nifti: wrong magic", "unreadable", (344, "4s", (b"nix\0",)))
_add("nifti: header of another length", "unreadable", (0, "<i", (347,)))
_add("nifti: extension of gigabytes", RIGHT, (348, "4B", (1, 0, 0, 0)), (108, "<f", (352.0,)))


@made("nifti: four axes, one volume", RIGHT)
def _four(folder: Path) -> Path:
    return small.write(folder / "scan.nii.gz", of=sitk.JoinSeries([small.image()]))


@made("nifti: two volumes", "not_3d")
def _two(folder: Path) -> Path:
    return small.write(folder / "scan.nii", of=sitk.JoinSeries([small.image()] * 2))


@made("nifti: vectors", "not_scalar")
def _vectors(folder: Path) -> Path:
    return small.write(folder / "scan.nii", of=sitk.Compose([small.image()] * 3))


@made("nifti: big-endian", RIGHT)
def _big_endian(folder: Path) -> Path:
    path = small.write(folder / "scan.nii")
    content = path.read_bytes()
    form = "i10s18sihcB8h3f4h8f3fhcB4f2i80s24s2h6f12f16s4s"
    header = struct.pack(">" + form, *struct.unpack("<" + form, content[:348]))
    path.write_bytes(header + content[348:352] + small.voxels().astype(">i2").tobytes())
    return path


@made("nifti: NIfTI-2", RIGHT)
def _nifti_2(folder: Path) -> Path:
    path = small.write(folder / "scan.nii")
    old = path.read_bytes()
    new = bytearray(544)
    struct.pack_into("<i8shh", new, 0, 540, b"n+2\0\r\n\032\n", 4, 16)
    struct.pack_into("<8q", new, 16, *struct.unpack_from("<8h", old, 40))
    struct.pack_into("<8d", new, 104, *struct.unpack_from("<8f", old, 76))
    struct.pack_into("<qdd", new, 168, 544, 1.0, 0.0)
    struct.pack_into("<ii", new, 344, *struct.unpack_from("<hh", old, 252))
    struct.pack_into("<18d", new, 352, *struct.unpack_from("<18f", old, 256))
    struct.pack_into("<i", new, 500, old[123])
    path.write_bytes(bytes(new) + small.voxels().tobytes())
    return path


@made("nifti: NIfTI-2 of exabytes", "unreadable")
def _exabytes(folder: Path) -> Path:
    path = _nifti_2(folder)
    content = bytearray(path.read_bytes())
    struct.pack_into("<3q", content, 24, 1 << 40, 1 << 40, 1 << 40)
    path.write_bytes(content)
    return path


@made("nifti: scaled int16", RIGHT)
def _scaled(folder: Path) -> Path:
    path = header_with(folder, (112, "<ff", (0.5, -24.0)))
    doubled = ((small.voxels().astype(int) + 24) * 2).astype("<i2")
    path.write_bytes(path.read_bytes()[:352] + doubled.tobytes())
    return path


@made("nifti: uint16 with offset", RIGHT)
def _offset(folder: Path) -> Path:
    path = header_with(folder, (112, "<ff", (1.0, -1024.0)), (70, "<h", (512,)))
    shifted = (small.voxels().astype(int) + 1024).astype("<u2")
    path.write_bytes(path.read_bytes()[:352] + shifted.tobytes())
    return path


@made("nifti: float64", RIGHT)
def _doubles(folder: Path) -> Path:
    return small.write(folder / "scan.nii.gz", of=sitk.Cast(small.image(), sitk.sitkFloat64))


@made("nifti: one NaN", "not_hu")
def _nan(folder: Path) -> Path:
    image = sitk.Cast(small.image(), sitk.sitkFloat32)
    image[1, 1, 1] = float("nan")
    return small.write(folder / "scan.nii.gz", of=image)


@made("nifti: header and image apart", "unreadable")
def _pair(folder: Path) -> Path:
    small.write(folder / "scan.img")
    return folder / "scan.img"


@made("nifti: the pair's header under another name", "unreadable")
def _pair_renamed(folder: Path) -> Path:
    small.write(folder / "scan.img")
    return (folder / "scan.hdr").rename(folder / "scan.nii")


@made("nifti: one slice", "one_slice")
def _slice(folder: Path) -> Path:
    return small.write(folder / "scan.nii", of=small.image()[:, :, :1])


# -- truncations --------------------------------------------------------------------------------
_FILES = [(".nii", False), (".nii.gz", True), (".nrrd", False), (".nrrd", True),
          (".mha", False), (".mha", True)]  # fmt: skip
_RANDOM = random.Random(20261125)
RANDOM_CUTS = 6
"""Of each kind of file, at places that a seed drew."""


def _cut(suffix: str, packed: bool, where: str, share: float) -> None:
    def maker(folder: Path) -> Path:
        path = small.write(folder / f"scan{suffix}", packed=packed)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share) if share < 1 else -1])
        return path

    kind = f"{suffix}{' packed' if packed else ''}"
    made(f"cut {where}: {kind}", "unreadable")(maker)


def _cut_slice(how: str, where: str, share: float) -> None:
    def maker(folder: Path) -> Path:
        change = (lambda d, _: small.packed(d, how, folder)) if how else (lambda *_: None)
        small.write_slices(folder / "ct", change)
        path = sorted((folder / "ct").iterdir())[2]
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return folder / "ct"

    made(f"cut {where}: a DICOM slice{f' in {how}' if how else ''}", "unreadable")(maker)


for _suffix, _packed in _FILES:
    for _where, _share in (("at once", 0.01), ("in the middle", 0.5), ("before the end", 1.0)):
        _cut(_suffix, _packed, _where, _share)
    for _number in range(RANDOM_CUTS):
        _cut(_suffix, _packed, f"at random ({_number})", _RANDOM.random())
for _how in ("", "RLE", "JPEG", "JPEG2000"):
    for _number in range(RANDOM_CUTS):
        _cut_slice(_how, f"at random ({_number})", _RANDOM.random())


# -- gzip ---------------------------------------------------------------------------------------
@made("gzip: a bomb under a small header", "unreadable")
def _bomb(folder: Path) -> Path:
    path = small.write(folder / "scan.nii")
    squeezer = zlib.compressobj(9, wbits=31)
    begin = squeezer.compress(path.read_bytes()) + squeezer.flush(zlib.Z_FULL_FLUSH)
    again = squeezer.compress(bytes(1 << 20)) + squeezer.flush(zlib.Z_FULL_FLUSH)
    (folder / "bomb.nii.gz").write_bytes(begin + again * 8192)  # 8 GiB of zeros
    return folder / "bomb.nii.gz"


@made("gzip: an honest bomb", "memory")
def _honest_bomb(folder: Path) -> Path:
    """A gigabyte in a megabyte, as its header says: more than the tests' process may take."""
    path = header_with(folder, (42, "<3h", (1024, 1024, 512)))
    squeezer = zlib.compressobj(9, wbits=31)
    begin = squeezer.compress(path.read_bytes()[:352]) + squeezer.flush(zlib.Z_FULL_FLUSH)
    again = squeezer.compress(bytes(1 << 20)) + squeezer.flush(zlib.Z_FULL_FLUSH)
    (folder / "bomb.nii.gz").write_bytes(begin + again * 1024)
    return folder / "bomb.nii.gz"


@made("gzip: announces what it cannot hold", "unreadable")
def _lying(folder: Path) -> Path:
    path = header_with(folder, (42, "<3h", (20000, 20000, 2000)))
    return zipped(path, path.read_bytes())


@made("gzip: announces more than it holds, but could", "unreadable")
def _almost(folder: Path) -> Path:
    path = header_with(folder, (42, "<3h", (256, 256, 8)))
    return zipped(path, path.read_bytes())


@made("gzip: a bomb before the voxels", "unreadable")
def _bomb_first(folder: Path) -> Path:
    path = header_with(folder, (108, "<f", (float(1 << 30),)))
    return zipped(path, path.read_bytes()[:352] + bytes(1 << 24))


@made("gzip: members one after the other", RIGHT)
def _members(folder: Path) -> Path:
    content = small.write(folder / "scan.nii").read_bytes()
    parts = [gzip.compress(content[i : i + 500]) for i in range(0, len(content), 500)]
    (folder / "scan.nii.gz").write_bytes(b"".join(parts))
    return folder / "scan.nii.gz"


@made("gzip: half a million empty members", "unreadable")
def _empty_members(folder: Path) -> Path:
    path = _members(folder)
    path.write_bytes(gzip.compress(b"", mtime=0) * 500_000 + path.read_bytes())
    return path


@made("gzip: padded by zeros", RIGHT)
def _padded(folder: Path) -> Path:
    path = _members(folder)
    path.write_bytes(path.read_bytes() + bytes(5000))
    return path


@made("gzip: followed by something else", "unreadable")
def _followed(folder: Path) -> Path:
    path = _members(folder)
    path.write_bytes(path.read_bytes() + b"and then some text")
    return path


@made("gzip: wrong checksum", "unreadable")
def _checksum(folder: Path) -> Path:
    path = small.write(folder / "scan.nii.gz", packed=True)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    return path


@made("gzip: plain NIfTI under its name", RIGHT)
def _not_zipped(folder: Path) -> Path:
    return small.write(folder / "scan.nii").rename(folder / "scan.nii.gz")


@made("nifti: megabytes after its voxels", "unreadable")
def _trailing(folder: Path) -> Path:
    path = small.write(folder / "scan.nii")
    path.write_bytes(path.read_bytes() + bytes(3 << 20))
    return path


# -- text headers -------------------------------------------------------------------------------
def _text(name: str, becomes: str, suffix: str, old: bytes, new: bytes) -> None:
    def maker(folder: Path) -> Path:
        path = small.write(folder / f"scan{suffix}")
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new, 1))
        return path

    made(name, becomes)(maker)


_SIZES = b"sizes: 12 16 6"
_text("nrrd: terabytes", "unreadable", ".nrrd", _SIZES, b"sizes: 99999 99999 99999")
_text("nrrd: negative size", "unreadable", ".nrrd", _SIZES, b"sizes: 12 -16 6")
_text("nrrd: no size", "unreadable", ".nrrd", _SIZES + b"\n", b"")
_text("nrrd: sizes twice", "unreadable", ".nrrd", _SIZES, _SIZES + b"\n" + _SIZES)
_text("nrrd: size of 400 digits", "unreadable", ".nrrd", _SIZES, b"sizes: 12 16 " + b"9" * 400)
_text("nrrd: a thousand axes", "unreadable", ".nrrd", _SIZES, b"sizes:" + b" 1" * 1000)
_text("nrrd: bzip2", "unreadable", ".nrrd", b"encoding: raw", b"encoding: bzip2")
_text("nrrd: block type", "unreadable", ".nrrd", b"type: short", b"type: block")
_text("nrrd: no byte order", "unreadable", ".nrrd", b"endian: little\n", b"")
_text("nrrd: origin NaN", "unreadable", ".nrrd", b"space origin: (-100.5,", b"space origin: (nan,")
_text(
    "nrrd: data elsewhere", "unreadable", ".nrrd", b"encoding:", b"data file: /dev/zero\nencoding:"
)
_text("nrrd: data above", "unreadable", ".nrrd", b"encoding:", b"data file: ../x.raw\nencoding:")
_text("nrrd: no voxel size", "geometry", ".nrrd", b"space directions:", b"# directions")
_text("mha: no voxel size", "geometry", ".mha", b"ElementSpacing", b"AnatomicalOrder")
_text("mha: terabytes", "unreadable", ".mha", b"DimSize = 12 16 6", b"DimSize = 99999 99999 999")
_text("mha: spacing zero", "geometry", ".mha", b"ElementSpacing = 0.75", b"ElementSpacing = 0")
_text("mha: negative spacing", "geometry", ".mha", b"ElementSpacing = 0.75", b"ElementSpacing = -1")
_text("mha: spacing NaN", "geometry", ".mha", b"ElementSpacing = 0.75", b"ElementSpacing = nan")
_text(
    "mha: singular",
    "geometry",
    ".mha",
    b"TransformMatrix =",
    b"TransformMatrix = 0 0 0 0 0 0 0 0 0\nX =",
)
_text(
    "mha: a list of files",
    "unreadable",
    ".mha",
    b"ElementDataFile = LOCAL",
    b"ElementDataFile = LIST",
)
_text("mha: data in a device", "unreadable", ".mha", b"= LOCAL", b"= /dev/zero")
_text(
    "mha: three numbers per voxel",
    "not_scalar",
    ".mha",
    b"ElementType",
    b"ElementNumberOfChannels = 3\nElementType",
)
_text("mha: as text", "unreadable", ".mha", b"BinaryData = True", b"BinaryData = False")


def _detached(suffix: str, line: bytes, name: str, becomes: str) -> None:
    @made(f"{suffix[1:]}: data in {name}", becomes)
    def maker(folder: Path) -> Path:
        path = small.write(folder / f"scan{suffix}")
        (folder / "sub").mkdir()
        (folder / "scan.raw").rename(folder / "sub" / "scan.raw")
        content = path.read_bytes()
        assert line + b"scan.raw" in content
        path.write_bytes(content.replace(line + b"scan.raw", line + name.encode()))
        return path


for _suffix_of_header, _line in ((".mhd", b"ElementDataFile = "), (".nhdr", b"data file: ")):
    _detached(_suffix_of_header, _line, "sub/scan.raw", RIGHT)
    _detached(_suffix_of_header, _line, "./sub/scan.raw", RIGHT)
    _detached(_suffix_of_header, _line, "../scan.raw", "unreadable")
    _detached(_suffix_of_header, _line, "/dev/zero", "unreadable")


@made("nrrd: a header without an end", "unreadable")
def _endless(folder: Path) -> Path:
    (folder / "scan.nrrd").write_bytes(b"NRRD0004\n" + b"# and so on\n" * 500_000)
    return folder / "scan.nrrd"


@made("mhd: data in a pipe", "unreadable")
def _pipe_beside(folder: Path) -> Path:
    path = small.write(folder / "scan.mhd")
    (folder / "scan.raw").unlink()
    os.mkfifo(folder / "scan.raw")
    return path


# -- not a file ---------------------------------------------------------------------------------
@made("place: empty file", "unreadable")
def _empty(folder: Path) -> Path:
    (folder / "scan.nii.gz").write_bytes(b"")
    return folder / "scan.nii.gz"


@made("place: wrong suffix", "unreadable")
def _suffix(folder: Path) -> Path:
    return small.write(folder / "scan.nii").rename(folder / "scan.nrrd")


@made("place: a pipe", "unreadable")
def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "scan.nii.gz")
    return folder / "scan.nii.gz"


@made("place: a device", "unreadable")
def _device(folder: Path) -> Path:
    (folder / "scan.nii").symlink_to("/dev/zero")
    return folder / "scan.nii"


@made("place: a folder named as a file", "unreadable")
def _folder(folder: Path) -> Path:
    (folder / "scan.nii.gz").mkdir()
    return folder / "scan.nii.gz"


@made("place: a link to itself", "unreadable")
def _loop(folder: Path) -> Path:
    (folder / "scan.nii").symlink_to(folder / "scan.nii")
    return folder / "scan.nii"


@made("place: a link to a scan", RIGHT)
def _link(folder: Path) -> Path:
    (folder / "link.nii").symlink_to(small.write(folder / "scan.nii"))
    return folder / "link.nii"


@made("place: a name with NUL", "unreadable")
def _nul(folder: Path) -> Path:
    return folder / "a\0b.nii"


@made("place: a name too long", "unreadable")
def _long(folder: Path) -> Path:
    return folder / ("x" * 5000 + ".nii")


# -- DICOM --------------------------------------------------------------------------------------
def _slices(name: str, becomes: str, change: Callable[[Any, int], Any]) -> None:
    made(name, becomes)(lambda folder: small.write_slices(folder / "ct", change))


def _set(only: int | None = None, **values: Any) -> Callable[[Any, int], None]:
    def change(dataset: Any, number: int) -> None:
        if only is None or number == only:
            for key, value in values.items():
                setattr(dataset, key, value)

    return change


def _drop(keyword: str) -> Callable[[Any, int], None]:
    return lambda dataset, number: delattr(dataset, keyword)


def _smaller(dataset: Any, number: int) -> None:
    if number == 3:
        dataset.Rows, dataset.PixelData = 8, dataset.PixelData[: 8 * 12 * 2]


def _halved(dataset: Any, number: int) -> None:
    """Scale one slice otherwise: its HU stay what they are."""
    if number == 2:
        dataset.RescaleSlope, dataset.BitsStored, dataset.HighBit = 0.5, 16, 15
        dataset.PixelData = (small.stored(number) * 2).tobytes()


def _as(syntax: str) -> Callable[[Any, int], None]:
    def change(dataset: Any, number: int) -> None:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(100)])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True

    return change


_slices("dicom: whole", RIGHT, _set())
_slices("dicom: missing slice", "uneven_slices", lambda dataset, number: number != 2)
_slices("dicom: doubled slice", "uneven_slices", _set(3, ImagePositionPatient=[-10, -20, 5.0]))
_slices("dicom: another series", "several_series", _set(4, SeriesInstanceUID="1.2.3"))
_slices("dicom: localizer in the series", "uneven_slices",
        _set(0, ImageOrientationPatient=[0, 1, 0, 0, 0, -1]))  # fmt: skip
_slices("dicom: no positions", "geometry", _drop("ImagePositionPatient"))
_slices("dicom: no spacing", "geometry", _drop("PixelSpacing"))
_slices("dicom: spacing zero", "geometry", _set(PixelSpacing=[0, 0]))
_slices("dicom: two numbers of position", "unreadable", _set(1, ImagePositionPatient=[1, 2]))
_slices("dicom: axes askew", "geometry", _set(ImageOrientationPatient=[1, 0, 0, 0.7, 0.7, 0]))
_slices("dicom: slices of unequal size", "unreadable", _smaller)
_slices("dicom: 65,535 rows", "unreadable", _set(Rows=65535, Columns=65535))
_slices("dicom: no rows", "unreadable", _set(Rows=0))
_slices("dicom: a million frames", "unreadable", _set(1, NumberOfFrames=1_000_000))
_slices("dicom: colour", "not_scalar", _set(SamplesPerPixel=3, Rows=5))
_slices("dicom: magnetic resonance", "not_hu", _set(Modality="MR"))
_slices("dicom: slope zero", "not_hu", _set(RescaleSlope=0))
_slices("dicom: another slope in one slice", RIGHT, _halved)
_slices("dicom: another SOP class", RIGHT,
        _set(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"))  # fmt: skip
_slices("dicom: HTJ2K", "unreadable", _as("1.2.840.10008.1.2.4.201"))
_slices("dicom: MPEG-4", "unreadable", _as("1.2.840.10008.1.2.4.102"))
_slices("dicom: JPEG 2000 that is none", "unreadable", _as("1.2.840.10008.1.2.4.90"))
_slices("dicom: tilted gantry", "tilted", lambda dataset, number: setattr(
    dataset, "ImagePositionPatient", [-10, -20 + 0.8 * number, 2.5 * number]))  # fmt: skip


def _packed(how: str) -> None:
    @made(f"dicom: packed as {how}", RIGHT)
    def maker(folder: Path) -> Path:
        return small.write_slices(folder / "ct", lambda d, n: small.packed(d, how, folder))


for _how in ("RLE", "JPEG2000", "JPEG"):
    _packed(_how)


@made("dicom: enhanced, all frames in one file", RIGHT)
def _enhanced(folder: Path) -> Path:
    small.save(small.enhanced(), folder / "frames.dcm")
    return folder


@made("dicom: frames without places", "geometry")
def _placeless(folder: Path) -> Path:
    dataset = small.enhanced()
    del dataset.PerFrameFunctionalGroupsSequence
    small.save(dataset, folder / "frames.dcm")
    return folder


@made("dicom: frames with a gap", "uneven_slices")
def _gap(folder: Path) -> Path:
    dataset = small.enhanced()
    place = dataset.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0]
    place.ImagePositionPatient = [-10, -20, 8.5]
    small.save(dataset, folder / "frames.dcm")
    return folder


@made("dicom: fewer descriptions than frames", "unreadable")
def _fewer(folder: Path) -> Path:
    dataset = small.enhanced()
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:3]
    small.save(dataset, folder / "frames.dcm")
    return folder


def _edited(name: str, becomes: str, edit: Callable[[bytes], bytes], which: str = "4.dcm") -> None:
    @made(name, becomes)
    def maker(folder: Path) -> Path:
        ct = small.write_slices(folder / "ct")
        (ct / which).write_bytes(edit((ct / which).read_bytes()))
        return ct


_edited(
    "dicom: position is text", "unreadable", lambda b: b.replace(b"-10.0\\-20.0", b"abc.0\\def.0")
)
_edited("dicom: slice cut in the header", "unreadable", lambda b: b[:300])
_edited("dicom: slice cut in the pixels", "unreadable", lambda b: b[:-100])
_edited("dicom: slice without its last byte", "unreadable", lambda b: b[:-1])
_edited("dicom: last slice empty", "unreadable", lambda b: b"")
_edited("dicom: last slice of zeros", "unreadable", lambda b: bytes(len(b)))
_edited("dicom: pixels of 4 GB", "unreadable", lambda b: b.replace(
    b"\xe0\x7f\x10\0OW\0\0\x80\x01\0\0", b"\xe0\x7f\x10\0OW\0\0\xf0\xff\xff\xff"))  # fmt: skip
_edited("dicom: an element of 4 GB after the pixels", "unreadable",
        lambda b: b + b"\xfc\xff\xfc\xffOB\0\0\xf0\xff\xff\xff")  # fmt: skip
_edited("dicom: sequences in sequences", "unreadable",
        lambda b: b + b"\xfe\x7f\x10\0SQ\0\0\xff\xff\xff\xff" + (
            b"\xfe\xff\0\xe0\xff\xff\xff\xff\x40\0\x10\0SQ\0\0" + b"\xff" * 4) * 5000)  # fmt: skip
_ITEM, _PRIVATE = b"\xfe\xff\0\xe0" + bytes(4), b"\x41\0\x10\x10SQ\0\0" + b"\xff" * 4
for _name, _bomb in (
    ("2.5 million empty items", _PRIVATE + _ITEM * 2_500_000 + b"\xfe\xff\xdd\xe0" + bytes(4)),
    ("2.5 million frames", b"\0\x52\x30\x92SQ\0\0\0\x2d\x31\x01" + _ITEM * 2_500_000),
    ("2.5 million elements", b"\x41\0\x10\x10LO\0\0" * 2_500_000),
):
    _edited(f"dicom: {_name}", "unreadable", lambda b, bomb=_bomb: b.replace(
        b"\xe0\x7f\x10\0OW", bomb + b"\xe0\x7f\x10\0OW"))  # fmt: skip
_edited("dicom: deflated bomb", "unreadable", lambda b: b.replace(
    b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")[:400]
    + zlib.compress(bytes(1 << 26), 9))  # fmt: skip


def _beside(name: str, becomes: str, add: Callable[[Path], Any]) -> None:
    @made(name, becomes)
    def maker(folder: Path) -> Path:
        ct = small.write_slices(folder / "ct")
        add(ct)
        return ct


_beside("dicom: text beside the slices", RIGHT, lambda ct: (ct / "notes.txt").write_text("x"))
_beside("dicom: a pipe beside the slices", RIGHT, lambda ct: os.mkfifo(ct / "9.dcm"))
_beside("dicom: a folder loop beside the slices", RIGHT, lambda ct: (ct / "up").symlink_to(ct))
_beside("dicom: a broken link beside the slices", RIGHT, lambda ct: (ct / "x").symlink_to("gone"))
_beside("dicom: a slice that is gone", "unreadable", lambda ct: (ct / "9.dcm").symlink_to("gone"))
_beside("dicom: an empty slice", "unreadable", lambda ct: (ct / "IM000009").write_bytes(b""))
_beside("dicom: a zeroed slice", "unreadable", lambda ct: (ct / "1.2.84").write_bytes(bytes(9999)))
_beside("dicom: an empty CT.1.2.9", "unreadable", lambda ct: (ct / "CT.1.2.9").write_bytes(b""))
_beside("dicom: IM000009 is gone", "unreadable", lambda ct: (ct / "IM000009").symlink_to("gone"))
_beside("dicom: an empty mark", RIGHT, lambda ct: (ct / "DONE").write_bytes(b""))
_beside("dicom: a scan beside the slices", RIGHT, lambda ct: small.write(ct / "scan.nii"))


@made("dicom: DICOMDIR alone", "unreadable")
def _dicomdir(folder: Path) -> Path:
    dataset = small.a_slice(0)
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    dataset.SOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    del dataset.PixelData
    small.save(dataset, folder / "DICOMDIR")
    return folder


@made("dicom: DICOMDIR beside the slices", RIGHT)
def _dicomdir_beside(folder: Path) -> Path:
    _dicomdir(folder)
    ct = small.write_slices(folder / "ct")
    (folder / "DICOMDIR").rename(ct / "DICOMDIR")
    return ct


@made("dicom: one slice", "one_slice")
def _single(folder: Path) -> Path:
    small.save(small.a_slice(0), folder / "only.dcm")
    return folder


@made("dicom: localizer of its own series", RIGHT)
def _localizer(folder: Path) -> Path:
    ct = small.write_slices(folder / "ct")
    scout = small.a_slice(0)
    scout.SeriesInstanceUID = "1.2.826.9"
    scout.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    small.save(scout, ct / "scout.dcm")
    return ct
