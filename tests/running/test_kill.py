"""A run that is killed at any moment loses nothing: the next ones end in the same bytes.

The quick tests kill at chosen rows, whatever the machine's speed; the long one at random moments.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
import SimpleITK as sitk
from command_line import call
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from pancseg import write_scan
from pancseg.phantom import make_phantom
from pancseg.scans.arrays import voxel_array

FILES = ("features.csv", "codebook.csv", "datapackage.json", "acquisition.csv")
REGIONS = ("--roi", "pancreas=1", "--roi", "ring=ring(1;5mm)")
DEADLINE_S = 600


@pytest.fixture(scope="module")
def cohort(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients of the small cohort and one whose scan is a DICOM series."""
    folder = tmp_path_factory.mktemp("kill") / "in"
    shutil.copytree(cohort.parent, folder)
    phantom = make_phantom(9, size=(96, 96, 12), spacing_mm=(3.6, 3.6, 15.0))
    write_series(folder / "dicom", phantom.image)
    write_scan(sitk.Cast(phantom.mask != 0, sitk.sitkUInt8), folder / "dicom_mask.nii.gz")
    rows = [f"{name},scans/{name}.nii.gz,scans/{name}_mask.nii.gz" for name in "abc"]
    rows += ["dicom,dicom,dicom_mask.nii.gz", "auto1,scans/auto1.nii.gz,"]
    manifest = folder / "kill.csv"
    manifest.write_text("\n".join(["patient_id,image,mask", *rows]) + "\n")
    return manifest


def write_series(folder: Path, image: sitk.Image) -> None:
    folder.mkdir()
    for number, slice_ in enumerate(voxel_array(image)):
        meta = pydicom.dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = pydicom.dataset.FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.Modality = "1.2.3", "1.2", "CT"
        ds.InstanceNumber, ds.Manufacturer = number + 1, "SIEMENS"
        place = image.TransformIndexToPhysicalPoint((0, 0, number))
        ds.ImagePositionPatient = [f"{v:.6f}" for v in place]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing = [f"{v:.6f}" for v in image.GetSpacing()[1::-1]]
        ds.SliceThickness = f"{image.GetSpacing()[2]:.6f}"
        ds.Rows, ds.Columns = slice_.shape
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.SamplesPerPixel = 16, 16, 15, 1
        ds.PixelRepresentation, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        ds.PixelData = slice_.astype("<i2").tobytes()
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)


@dataclass
class Kills:
    """Runs of one command into one folder, killed at random moments of their work.

    Attributes:
        work_s: how long the work of an undisturbed run takes, its start not counted.
        killed: how many runs were killed while they worked.
        halfway: after how many of them some rows, but not all, were in the journal.
        ended: how many runs ended by themselves before their moment came.
    """

    kind: str
    cohort: Path
    out: Path
    dice: random.Random
    work_s: float = 0.0
    killed: int = 0
    halfway: int = 0
    ended: int = 0
    rows: int = field(default=0, init=False)

    def undisturbed(self, out: Path) -> dict[str, bytes]:
        """Run to the end; note how long the work takes and how many rows there are to make."""
        with self._start(out) as run:
            self._wait_for_work(out, run)
            began = time.monotonic()
            self._ended(run, run.wait(DEADLINE_S))
        self.work_s = time.monotonic() - began
        self.rows = rows_in(out)
        return left_in(out)

    def kill(self, count: int) -> None:
        """Kill so many runs at work; begin anew whenever one has ended."""
        for _ in range(4 * count):
            if self.killed == count:
                return
            self._kill_one()
        raise AssertionError(f"only {self.killed} of {4 * count} runs were at work when killed")

    def _kill_one(self) -> None:
        """Kill after a random time of work, or shortly after a random row was written."""
        before = rows_in(self.out)
        row = self.dice.randint(before + 1, self.rows - 1) if before < self.rows - 1 else 0
        by_row = row and self.dice.random() < 0.7
        left = max(0.4, 1 - before / self.rows)
        moment_s = self.dice.uniform(0, 0.05 if by_row else self.work_s * left)
        with self._start(self.out) as run:
            self._wait_for_work(self.out, run)
            while by_row and rows_in(self.out) < row and run.poll() is None:
                time.sleep(0.002)
            try:
                self._ended(run, run.wait(moment_s))
            except subprocess.TimeoutExpired:
                run.kill()
        if run.returncode == -signal.SIGKILL:
            self.killed += 1
            self.halfway += 0 < rows_in(self.out) < self.rows
        else:
            self.ended += 1
        if rows_in(self.out) == self.rows:
            shutil.rmtree(self.out)  # everything once more

    def _start(self, out: Path) -> subprocess.Popen[bytes]:
        (out / "run.jsonl").unlink(missing_ok=True)
        workers = self.dice.choice("012" if self.kind == "extract" else "01")
        return subprocess.Popen(
            [sys.executable, "-m", "pancseg", *words_of(self.kind, self.cohort, out, workers)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _wait_for_work(self, out: Path, run: subprocess.Popen[bytes]) -> None:
        """Wait until workers have begun: a run then opens its log."""
        deadline = time.monotonic() + DEADLINE_S
        while not (out / "run.jsonl").exists():
            assert run.poll() is None, "it ended before it began"
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def _ended(self, run: subprocess.Popen[bytes], code: int) -> None:
        assert code == (self.kind == "extract")  # where a patient has no mask


def words_of(kind: str, cohort: Path, out: Path, workers: str) -> list[str]:
    words = [kind, str(cohort), "--out", str(out), "--config", str(cohort.parent / "quick.yaml")]
    words += [*REGIONS, "--quiet", "--workers", workers]
    return [*words, *(["--weights", "monet_phantom"] if kind == "run" else [])]


def rows_in(out: Path) -> int:
    """Return how many rows with values a journal has in whole lines."""
    path = out / ".pancseg" / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    found = set()
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:  # a kill cut it off, and the next run ended the line
            continue
        if record.get("status") in ("pass", "warn"):
            found.add(record["row"])
    return len(found)


def left_in(out: Path) -> dict[str, bytes]:
    """Everything that must not depend on what happened on the way."""
    masks = {f"masks/{path.name}": path.read_bytes() for path in sorted(out.glob("masks/*.nii.gz"))}
    return {name: (out / name).read_bytes() for name in FILES} | masks


def killing_changes_nothing(kind: str, count: int, cohort: Path, folder: Path) -> Kills:
    runs = Kills(kind, cohort, folder / kind, random.Random(count))
    expected = runs.undisturbed(folder / f"{kind}_undisturbed")
    assert runs.rows == (10 if kind == "run" else 8)
    runs.kill(count)
    assert runs.undisturbed(runs.out) == expected
    hidden = [p.name for p in runs.out.rglob(".*") if p.name != ".pancseg"]
    assert hidden == []  # nothing half-written is left
    return runs


def kill_both(extract: int, run: int, cohort: Path, folder: Path) -> list[Kills]:
    """Kill the two commands side by side: while one starts, the other works."""
    with ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(killing_changes_nothing, kind, count, cohort, folder)
            for kind, count in (("extract", extract), ("run", run))
        ]
        return [future.result() for future in asked]


@pytest.mark.parametrize(
    ("kind", "kills", "rows"),
    [
        ("extract", ((1, "0"), (2, "1"), (2, "2")), 8),
        ("run", ((3, "0"), (4, "1")), 10),
    ],
)
def test_kills_at_work_and_a_whole_run_give_the_bytes_of_an_undisturbed_one(
    kind: str, kills: tuple[tuple[int, str], ...], rows: int, cohort: Path, tmp_path: Path
) -> None:
    """Each run is killed when it has made so many rows more, with so many workers."""
    code = int(kind == "extract")  # where a patient has no mask
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    assert call(*words_of(kind, cohort, undisturbed, "0"))[0] == code
    assert rows_in(undisturbed) == rows
    script, made = Path(__file__).with_name("killed_run.py"), 0
    for more, workers in kills:
        words = [sys.executable, str(script), str(more), *words_of(kind, cohort, out, workers)]
        assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
        made += more
        assert rows_in(out) == made < rows
    assert call(*words_of(kind, cohort, out, "0"))[0] == code
    assert left_in(out) == left_in(undisturbed)
    hidden = [path.name for path in out.rglob(".*") if path.name != ".pancseg"]
    assert hidden == []  # nothing half-written is left
    log = [json.loads(line) for line in (out / "run.jsonl").read_text().splitlines()]
    assert sum(record.get("reused", 0) for record in log) == made


@pytest.mark.soak
def test_two_hundred_kills_at_work(cohort: Path, tmp_path: Path) -> None:
    for runs in kill_both(100, 100, cohort, tmp_path):
        assert runs.killed == 100
        assert runs.halfway >= 20
