"""What is fuzzed: each reader of foreign bytes, and the ways in which it may refuse them.

Readers are imported by the target that needs them, so that a process for one target starts soon.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from pancseg.errors import CohortError, UnusableCase

LONGEST_LINE = 1000


class Target(NamedTuple):
    """A reader.

    Attributes:
        name: name of the file that is written for it.
        read: reads the file, and everything that belongs to its content.
        refusals: exceptions by which it may refuse the file, with one short line.
    """

    name: str
    read: Callable[[Path], object]
    refusals: tuple[type[Exception], ...] = (ValueError,)


def attempt(target: Target, content: bytes) -> str:
    """Read the content by a target; return why it was refused, or nothing.

    Raises:
        Exception: what the reader should not have raised; or AssertionError if its refusal is long,
            has control characters or names the file.
    """
    with tempfile.TemporaryDirectory(prefix="pancseg-fuzz-") as folder:
        path = Path(folder) / target.name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        try:
            target.read(path)
        except target.refusals as refusal:
            lines = refusal.problems if isinstance(refusal, CohortError) else [str(refusal)]
            for line in lines:
                assert line, "a refusal without a word"
                assert line.isprintable(), repr(line[:LONGEST_LINE])
                assert len(line) <= LONGEST_LINE, line[:LONGEST_LINE]
                assert folder not in line, line
            return "\n".join(lines)
    return ""


def _scan(path: Path) -> None:
    from pancseg import preview_scan, read_scan
    from pancseg.scans.arrays import voxel_array

    preview_scan(path)
    image = read_scan(path)
    assert image.GetDimension() == 3
    assert min(image.GetSize()) > 1
    assert min(image.GetSpacing()) > 0
    assert all(map(math.isfinite, image.GetOrigin()))
    voxel_array(image)


def _series(path: Path) -> None:
    from pancseg.processing.acquisition import acquisition_of

    acquisition_of(path.parent)
    _scan(path.parent)


def _dicom_seg(path: Path) -> None:
    from pancseg.scans.masks import preview_mask, read_mask

    size = preview_mask(path).size
    mask = read_mask(path)
    assert mask.GetSize() == size
    assert min(mask.GetSpacing()) > 0


def _rtstruct(path: Path) -> None:
    import small_files as small

    from pancseg.scans.masks import named_segments, read_mask
    from pancseg.scans.segments import segments_of

    scan = small.image()
    mask = read_mask(path, scan)
    assert mask.GetSize() == scan.GetSize()
    names = [segment.name for segment in named_segments(path)]
    assert names == [segment.name for segment in segments_of(mask)]


def _acquisition(path: Path) -> None:
    from pancseg.processing.acquisition import acquisition_of

    for name, value in acquisition_of(path).items():
        assert re.fullmatch("[a-z0-9_]+", name)
        assert len(str(value)) < 100


def _journal(path: Path) -> None:
    from pancseg.cohort.case import Case
    from pancseg.running.journal import Journal

    case = Case("P1", Path("P1.nii.gz"))
    for failed in (True, False):
        with closing(Journal(path)) as journal:
            for key in journal.known(case, failed=failed):
                result = journal.row(key, case)
                assert result.status in ("pass", "warn", "fail", "error")
                dict(result.values.items())
            journal.earlier_masks("P1")


def _settings(path: Path) -> None:
    from pancseg.features.extract import check_values
    from pancseg.features.settings import load_feature_settings

    settings = load_feature_settings(path)
    check_values(settings)
    settings.model_dump_json()


def _recipe(path: Path) -> None:
    from pancseg.training.recipe import load_recipe

    load_recipe(str(path))


def _manifest(path: Path) -> None:
    from pancseg.cohort.manifest import read_manifest

    read_manifest(path)


def _table(path: Path) -> None:
    from pancseg.modelling.inputs.cell_values import all_numbers, numbers, read_table

    table = read_table(path, "the table")
    for name in table:
        if all_numbers(table[name]):
            numbers(table[name], "the column")


def _region(path: Path) -> None:
    from pancseg.cohort.roi import parse_roi

    parse_roi(path.read_text("utf-8", "replace"))


def _model(path: Path) -> None:
    from pancseg.modelling.saved_model import load_model

    load_model(path)


def _weights(path: Path) -> None:
    from pancseg.segmentation.checkpoint import load_checkpoint

    load_checkpoint(path)


_UNUSABLE = (UnusableCase,)
TARGETS = {
    "nifti": Target("scan.nii", _scan, _UNUSABLE),
    "nifti_gz": Target("scan.nii.gz", _scan, _UNUSABLE),
    "nrrd": Target("scan.nrrd", _scan, _UNUSABLE),
    "nhdr": Target("scan.nhdr", _scan, _UNUSABLE),
    "metaimage": Target("scan.mha", _scan, _UNUSABLE),
    "mhd": Target("scan.mhd", _scan, _UNUSABLE),
    "dicom": Target("series/1.dcm", _series, _UNUSABLE),
    "dicom_tags": Target("1.dcm", _acquisition, ()),
    "dicom_seg": Target("1.dcm", _dicom_seg, _UNUSABLE),
    "rtstruct": Target("1.dcm", _rtstruct, _UNUSABLE),
    "journal": Target("journal.jsonl", _journal, ()),
    "settings": Target("mine.yaml", _settings),
    "recipe": Target("mine.yaml", _recipe),
    "manifest": Target("cohort.csv", _manifest),
    "workbook": Target("cohort.xlsx", _manifest),
    "table": Target("table.csv", _table),
    "region": Target("region", _region),
    "model": Target("model", _model),
    "weights": Target("mine.safetensors", _weights),
}
