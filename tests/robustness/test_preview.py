"""What headers promise: sizes in milliseconds, and no more memory than was said."""

from __future__ import annotations

import base64
import json
import math
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import small_files as small

from pancseg import UnusableCase, preview_scan, read_scan
from pancseg.phantom import make_phantom
from pancseg.scans.arrays import voxel_array
from pancseg.scans.reading import READERS
from pancseg.scans.voxel_stream import OVERHEAD_BYTES

JPEG_LS = (
    "/9j/9wALCwAQAAwBAREA/9oACAEBAAAAAK222vNteb1qBRdZrFqUyquAoqqqqiSWMaSSSSTTEkklVYYV"
    "VVVZgVVVVF9VV9F5/3F1/2lx/2lt/2lp/2ll/2lh/2ld/2j/2Q=="
)
"""16 × 12 pixels, 100 × row + 7 × column, packed by CharLS (pyjpegls 1.5.1)."""

PEAK = "import sys; from pancseg.scans.reading import read_scan; read_scan(sys.argv[1]);" + (
    "print(open('/proc/self/status').read())"
)


@pytest.mark.parametrize("suffix", READERS)
def test_a_preview_tells_what_reading_will_find(suffix: str, tmp_path: Path) -> None:
    small.write(tmp_path / f"scan{suffix}")
    found = preview_scan(tmp_path / f"scan{suffix}")
    assert found == ((12, 16, 6), 2, 12 * 16 * 6, 12 * 16 * 6 * 2 + OVERHEAD_BYTES)


def test_a_scale_makes_reading_take_more(tmp_path: Path) -> None:
    path = small.write(tmp_path / "scan.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<ff", content, 112, 0.5, 3.0)
    path.write_bytes(content)
    assert preview_scan(path).read_bytes == 12 * 16 * 6 * 4 + OVERHEAD_BYTES
    assert read_scan(path).GetPixelID() == sitk.sitkFloat32


def test_a_preview_of_a_named_series_counts_that_one_alone(tmp_path: Path) -> None:
    def part(dataset: pydicom.Dataset, number: int) -> None:
        dataset.SeriesInstanceUID = f"1.2.3.{7 if number < 3 else 8}"

    folder = small.write_slices(tmp_path / "ct", part)
    sizes = [preview_scan(folder, series_uid=uid).size for uid in ("1.2.3.7", "1.2.3.8")]
    assert sizes == [(12, 16, 3), (12, 16, 2)]


def test_a_preview_of_a_series_counts_its_files(tmp_path: Path) -> None:
    folder = small.write_slices(tmp_path / "ct")
    assert preview_scan(folder)[:3] == ((12, 16, 5), 2, 960)
    assert preview_scan(folder).read_bytes == 2 * 960 + OVERHEAD_BYTES + 16 * 2 * 12 * 16
    (tmp_path / "frames").mkdir()
    small.save(small.enhanced(), tmp_path / "frames" / "1.dcm")
    assert preview_scan(tmp_path / "frames").size == (12, 16, 5)
    with pytest.raises(UnusableCase, match="none fits series_uid"):
        preview_scan(folder, series_uid="999")


def test_a_preview_reads_the_header_alone(tmp_path: Path) -> None:
    """Of a sparse file of 64 GB, which a machine may well not hold."""
    path = small.write(tmp_path / "scan.nii")
    content = bytearray(path.read_bytes()[:352])
    struct.pack_into("<3h", content, 42, 4096, 4096, 2048)
    with path.open("wb") as file:
        file.write(content)
        file.truncate(352 + 4096 * 4096 * 2048 * 2)
    start = time.process_time()
    assert preview_scan(path).read_bytes > 64e9
    assert time.process_time() - start < 10


def test_a_scan_that_the_machine_cannot_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small.write(tmp_path / "scan.nii")
    monkeypatch.setattr("pancseg.scans.reading._machine_bytes", lambda: 10_000_000)
    with pytest.raises(UnusableCase, match=r"takes 0\.0 GB, and this machine has 0\.0 GB") as told:
        read_scan(path)
    assert told.value.code == "memory"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_reading_takes_what_was_said(suffix: str, tmp_path: Path) -> None:
    """The memory of one copy, and some blocks."""
    image = sitk.GetImageFromArray(np.zeros((150, 512, 512), np.int16))
    path = small.write(tmp_path / f"a{suffix}", packed=suffix != ".nii", of=image)
    tiny = small.write(tmp_path / f"b{suffix}")
    used = []
    for one in (tiny, path):
        run = subprocess.run([sys.executable, "-c", PEAK, str(one)], capture_output=True, text=True)
        used.append(int(re.findall(r"VmHWM:\s+(\d+)", run.stdout)[0]) * 1024)
    assert used[1] - used[0] < preview_scan(path).read_bytes


def test_jpeg_ls_is_unpacked(tmp_path: Path) -> None:
    def pack(dataset: pydicom.Dataset, _: int) -> None:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
        dataset.PixelData = pydicom.encaps.encapsulate([base64.b64decode(JPEG_LS)])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.BitsStored, dataset.HighBit = 16, 15

    found = voxel_array(read_scan(small.write_slices(tmp_path / "ct", pack)))
    expected = 100 * np.arange(16)[:, None] + 7 * np.arange(12) - 1024
    np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape))


@pytest.mark.soak
@pytest.mark.parametrize("command", ["segment", "run"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_scan_of_2000_slices_is_done_in_4_gb(suffix: str, command: str, tmp_path: Path) -> None:
    path, out = tmp_path / f"huge{suffix}", tmp_path / "out"
    write_huge(path, slices=2000)
    words = [command, str(path), "--out", str(out), "--weights", "monet_phantom", "--memory", "4GB"]
    subprocess.run([sys.executable, "-m", "pancseg", *words, "--workers", "1"], check=True)
    log = [json.loads(line) for line in (out / "run.jsonl").read_text().splitlines()]
    assert [r["peak_mb"] <= 4000 for r in log if r["event"] == "scan"] == [True]
    mask = voxel_array(read_scan(out / "masks" / "huge.nii.gz"))
    assert mask.shape == (2000, 512, 512)
    volume_ml = float(mask.sum()) * math.prod((0.8, 0.8, 1.0)) / 1000
    assert 30 < volume_ml < 120


def write_huge(path: Path, slices: int) -> None:
    """Write air with a phantom in the middle, in the axes of most NIfTI files."""
    phantom = make_phantom(3, size=(512, 512, 40), spacing_mm=(0.8, 0.8, 5.0), orientation="RAS")
    made = sitk.Image(512, 512, slices, sitk.sitkInt16)
    made.SetSpacing((0.8, 0.8, 1.0))
    made.SetDirection(phantom.image.GetDirection())
    made += -1000
    first = (slices - 200) // 2
    thin = np.repeat(sitk.GetArrayViewFromImage(phantom.image), 5, axis=0).astype(np.int16)
    made[:, :, first : first + 200] = sitk.GetImageFromArray(thin)
    sitk.WriteImage(made, str(path), useCompression=path.suffix == ".gz", compressionLevel=1)
