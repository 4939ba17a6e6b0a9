"""Small valid files for each target, made anew each time, and inputs that were faults once."""

from __future__ import annotations

import io
import json
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS), str(TESTS / "robustness")]

Seeds = Callable[[Path], Iterator[bytes]]


def seeds(name: str, folder: Path) -> list[bytes]:
    """Return the seeds of a target.

    Args:
        name: of the target.
        folder: an empty folder, for files on the way.
    """
    return [*MAKERS[name](folder), *FOUND.get(name, ())]


def _written(suffix: str) -> Seeds:
    def make(folder: Path) -> Iterator[bytes]:
        import small_files as small

        for packed in (False, True):
            path = small.write(folder / f"{packed}{suffix}", packed=packed)
            yield path.read_bytes()

    return make


def _dicom(folder: Path) -> Iterator[bytes]:
    import small_files as small

    yield (small.write_slices(folder / "plain") / "2.dcm").read_bytes()
    small.save(small.enhanced(), folder / "enhanced.dcm")
    yield (folder / "enhanced.dcm").read_bytes()
    small.write_slices(folder / "rle", lambda d, _: small.packed(d, "RLE", folder))
    yield (folder / "rle" / "2.dcm").read_bytes()


def _dicom_seg(folder: Path) -> Iterator[bytes]:
    import small_files as small
    from dicom_seg import frames_of, write_seg

    scan = small.image()
    drawn = (small.voxels() > 0).astype("uint8")
    for kind in ("BINARY", "LABELMAP"):
        path = write_seg(folder / kind, scan, frames_of(1, drawn[1:5]), kind=kind)
        yield path.read_bytes()


def _rtstruct(folder: Path) -> Iterator[bytes]:
    import small_files as small
    from rtstruct_file import outlines, write_rtstruct

    scan = small.image()
    regions = {"pancreas": outlines(small.voxels() > 0, scan), "point": []}
    yield write_rtstruct(folder / "rs.dcm", regions).read_bytes()


def _journal(folder: Path) -> Iterator[bytes]:
    from pancseg.cohort.case import Case
    from pancseg.processing.row import CaseResult, case_result
    from pancseg.running.journal import Journal
    from pancseg.running.messages import MadeFrom

    case, path = Case("P1", Path("P1.nii.gz")), folder / "journal.jsonl"
    with closing(Journal(path)) as journal:
        journal.add_row("k1", case_result(case, lambda row: row.values.update(a=1.5, b="x")))
        journal.add_row("k2", CaseResult.of_one_reason(case, "fail", "empty_mask", "it is empty"))
        journal.add_mask("P1", "d" * 64, MadeFrom("m" * 64, "s" * 64))
    yield path.read_bytes()


def _settings(_: Path) -> Iterator[bytes]:
    from pancseg.features.settings import preset_folder

    for name in ("pancreas_ct", "kaissis_2020"):
        yield (preset_folder() / f"{name}.yaml").read_bytes()
    yield b"extends: pancreas_ct\npancseg: {quality: {slice_mm: {warn_above: 5, fail_above: 8}}}\n"
    yield b"a: &a {binWidth: 0x10}\nsetting: {<<: *a, resegmentRange: [-.inf, 1e3]}\n"


def _manifest(_: Path) -> Iterator[bytes]:
    yield b"patient_id,image,mask,mask_label,scan_id,roi\nP1,a.nii,b.nii,'1,2',s,x\n"
    yield "\ufeffpatient_id;image;roi;mask_label\nP1;a b.nii;ring;ring(1;5mm)\n\n".encode("utf-16")
    yield b"sep=;\nImage;Mask;Label;Age\nct\\P1.nii;~/m.nrrd;1.0;=1\n"
    yield b'patient_id\timage\n"P\n1"\ta.nii\nP1\ta.nii\n\tb.nii\n../P2\tc.nii\textra\n'


def _workbook(_: Path) -> Iterator[bytes]:
    from openpyxl import Workbook

    book = Workbook()
    for row in (("Patient_ID", "Image", "Mask", "age"), ("P1", "a.nii", "b.nii", 63.5), ("=1+1",)):
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)
    yield content.getvalue()
    stored = io.BytesIO()
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():  # so that changed bytes reach the XML
            new.writestr(name, old.read(name))
    yield stored.getvalue()


def _table(_: Path) -> Iterator[bytes]:
    yield b"id,a,b\nP1,1.5,yes\nP2,-1e-3,no\nP3,.5,\nP4,inf,NA\n"
    yield b"id;a\nP1;1,5\nP2;1.234\nP3;5\n"


def _region(_: Path) -> Iterator[bytes]:
    yield from (b"2", b"1,2", b"all without 3,7", b"ring(1,2;5mm)", b"ring(1;5.0 mm;-100..30.5 HU)")


def _recipe(_: Path) -> Iterator[bytes]:
    from pancseg.training.recipe import RECIPES

    yield (RECIPES / "monet.yaml").read_bytes()


def _model(folder: Path) -> Iterator[bytes]:
    import numpy as np
    import pandas as pd

    from pancseg import fit_model

    rng, ids = np.random.default_rng(7), [f"P{i}" for i in range(60)]
    table = pd.DataFrame({"patient_id": ids} | {f"f{i}": rng.normal(size=60) for i in range(3)})
    table.to_csv(folder / "features.csv", index=False)
    outcome = pd.DataFrame({"patient_id": ids, "os_months": rng.exponential(20, 60) + 0.1})
    outcome["os_event"] = rng.integers(0, 2, 60)
    outcome.to_csv(folder / "clinical.csv", index=False)
    fit_model(
        folder / "features.csv", folder / "clinical.csv", folder / "model",
        time="os_months", event="os_event", folds=3, inner_folds=2, repeats=1, canary=0, workers=1,
    )  # fmt: skip
    yield (folder / "model" / "model.safetensors").read_bytes()


def _weights(_: Path) -> Iterator[bytes]:
    """Yield a file whose header is whole, and whose weights do not fit."""
    about = json.dumps({"network": "monet", "preprocessing": {}, "provenance": {}})
    header = json.dumps({
        "__metadata__": {"pancseg": about},
        "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    }).encode()  # fmt: skip
    yield struct.pack("<Q", len(header)) + header + b"\0" * 8


_NHDR = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\ndata file: a.raw\n"
_MHD = b"NDims = 3\nDimSize = 2 2 2\nElementType = MET_SHORT\nElementDataFile = a.raw\n"

MAKERS: dict[str, Seeds] = {
    "nifti": _written(".nii"),
    "nifti_gz": _written(".nii.gz"),
    "nrrd": _written(".nrrd"),
    "nhdr": lambda _: iter(
        [b"NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\ndata file: a.raw\n"]
    ),
    "metaimage": _written(".mha"),
    "mhd": lambda _: iter(
        [b"NDims = 3\nDimSize = 2 2 2\nElementType = MET_SHORT\nElementDataFile = a\n"]
    ),
    "dicom": _dicom,
    "dicom_tags": _dicom,
    "dicom_seg": _dicom_seg,
    "rtstruct": _rtstruct,
    "journal": _journal,
    "settings": _settings,
    "recipe": _recipe,
    "manifest": _manifest,
    "workbook": _workbook,
    "table": _table,
    "region": _region,
    "model": _model,
    "weights": _weights,
}

FOUND: dict[str, tuple[bytes, ...]] = {
    "journal": (
        b"[1]\n", b'"key"\n', b"5\n", b"null\n", b"[" * 100_000, b"\xff\n",
        b'{"row": "P1", "key": "k", "values": 5}\n', b'{"row": 1, "key": [1], "values": {}}\n',
        b'{"mask": "P1"}\n', b'{"mask": "P1", "digest": "d"}\n', b"{}\n",
        b'{"mask": ["P1"], "key": 1, "digest": {}}\n',
    ),
    "settings": (b"[" * 5000, b"a: &a [*a]", b"a: " + b"1" * 5000, b"? [a]\n: 1"),
    "table": (b"id,a\nP1," + b"1" * 30_000 + b"x\n", b"a" * 40_000, b'id\n"' + b"x" * 200_000),
    "region": (b"1" * 100_000, b"ring(" + b" " * 900),
}  # fmt: skip
"""Inputs that a reader once failed on, answered at length or took minutes for."""


if __name__ == "__main__":
    _, wanted, corpus = sys.argv
    with tempfile.TemporaryDirectory() as made:
        for number, content in enumerate(seeds(wanted, Path(made))):
            (Path(corpus) / f"seed{number}").write_bytes(content)
