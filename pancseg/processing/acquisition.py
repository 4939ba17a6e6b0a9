"""Read how a CT was acquired, from an allow-list of DICOM tags in forms that identify nobody.

People type into DICOM headers, so no text is copied unchecked. Numbers must be in a plausible
range, and words must be known here; unknown words become ``other``. Nothing else is read: no UID,
date, time, name, accession number, description or comment.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pancseg.errors import UnusableCase
from pancseg.scans.dicom.detect import is_ct_slice, is_dicom
from pancseg.scans.dicom.elements import DamagedDicom, DataSet, ElementWalk
from pancseg.scans.dicom.safe_words import contrast_word, kernel_word
from pancseg.system.whole_files import write_whole
from pancseg.tables.columns import IDS, Column, Type
from pancseg.tables.fields import Value
from pancseg.tables.format import TableFormat
from pancseg.tables.rows_to_file import write_csv

log = logging.getLogger(__name__)

_SERIES_UID = 0x0020000E
_DEFLATED = "1.2.840.10008.1.2.1.99"
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PLAIN = TableFormat()

_VENDORS = (
    ("Siemens", r"siemens"),
    ("GE", r"\bge\b|general electric|imatron"),
    ("Philips", r"philips|marconi|picker|elscint"),
    ("Canon", r"canon|toshiba"),
    ("Fujifilm", r"fuji|hitachi"),
    ("United Imaging", r"\buih\b|united imaging"),
    ("Neusoft", r"neusoft|\bnms\b"),
    ("Shimadzu", r"shimadzu"),
    ("Samsung", r"samsung|neurologica"),
    ("MinFound", r"minfound"),
    ("SinoVision", r"sinovision"),
    ("Anke", r"\banke\b"),
)
"""Vendor (the present owner of a brand) and the pattern of its names, in lower case."""

_MODELS = """
SOMATOM Definition AS AS+ DS Flash Edge Force Drive Sensation Emotion Perspective Scope Spirit
Confidence Balance Access Plus Volume Zoom go.Up go.Now go.Top go.All go.Sim go.Open Pro.Pulse
X.cite X.ceed NAEOTOM Alpha Alpha.Peak Alpha.Pro Alpha.Prime Biograph mCT Vision Horizon
TruePoint Symbia Intevo LightSpeed LightSpeed16 BrightSpeed HiSpeed ProSpeed Ultra Pro VCT Xtra
RT RT16 QX/i NX/i LX/i GSI Discovery CT750 HD STE STEP ST RX LS MI IQ Optima CT520 CT540 CT580 CT590
CT660 CT670 CT680 Revolution CT EVO Frontier Apex Ascend Maxima ACTs ES GT HDe Elite Select
Brilliance iCT SP TF Big Bore Ingenuity Core Core128 IQon Spectral Incisive Mx8000 IDT Gemini
GXL Vereos Precedence PET PET/CT Aquilion ONE PRIME CXL CX LB Lightning Genesis Precision
Exceed Serve Insight Asteion Activion Alexion Scenaria View Supria ECLOS Pronto Presto ROBUSTO
FCT Speedia NeuViz Dual Epoch Glory uCT uMI ATLAS
"""
_MODEL_WORDS = {word.lower(): word for word in _MODELS.split()}
_POSITION = re.compile(r"(?:HF|FF|LF|RF|AF|PF)(?:P|S|DR|DL)")
_MOST_DIGITS = 3
_MOST_BYTES = 256
"""Bytes of a tag that are read; none of the tags may be longer."""


def _number(lowest: float, highest: float) -> Callable[[str], Value]:
    """Return a function that keeps numbers within a range, as text or empty.

    Numbers are rounded to 7 digits, so that a date of birth, which has 8, cannot pass.
    """

    def keep(text: str) -> Value:
        first, *others = (part.strip() for part in text.split("\\"))
        if any(other != first for other in others) or not _NUMBER.fullmatch(first):
            return ""
        number = float(f"{float(first):.7g}")
        return number if lowest <= number <= highest else ""

    return keep


def _vendor(text: str) -> Value:
    found = (name for name, words in _VENDORS if re.search(words, text.lower().replace("_", " ")))
    return next(found, "other" if text else "")


def _model(text: str) -> Value:
    """Keep known words of scanner names, and numbers of up to three digits directly after one.

    A number after another number is left out: three in a row may be a date.
    """
    kept: list[str] = []
    named = False
    for word in text.replace("_", " ").split():
        name = word.rstrip("0123456789")
        digits = word[len(name) :]
        whole = _MODEL_WORDS.get(word.lower())
        if whole is None and len(digits) <= _MOST_DIGITS and name.lower() in _MODEL_WORDS:
            whole = _MODEL_WORDS[name.lower()] + digits
        if whole is not None:
            kept.append(whole)
        elif named and not name and len(digits) <= _MOST_DIGITS:
            kept.append(word)
        named = whole is not None and not digits
    return " ".join(kept) if kept else "other" if text else ""


def _position(text: str) -> Value:
    return text if _POSITION.fullmatch(text) else ""


class _Tag(NamedTuple):
    column: Column
    number: int
    keep: Callable[[str], Value]


def _tag(name: str, number: int, keep: Callable[[str], Value], unit: str, description: str) -> _Tag:
    kind: Type = "string" if unit == "none" else "number"
    return _Tag(Column(name, kind, unit, "acquisition", description), number, keep)


_TAGS = (
    _tag("manufacturer", 0x00080070, _vendor, "none", "vendor of the scanner, or other"),
    _tag(
        "manufacturer_model_name", 0x00081090, _model, "none",
        "the known words of the scanner's name, or other",
    ),
    _tag("kvp", 0x00180060, _number(10, 300), "kV", "peak voltage of the tube"),
    _tag("tube_current_ma", 0x00181151, _number(0, 5000), "mA", "of one slice of the series"),
    _tag("exposure_mas", 0x00181152, _number(0, 50000), "mAs", "of one slice of the series"),
    _tag(
        "convolution_kernel", 0x00181210, kernel_word, "none",
        "reconstruction kernel of a known form, or other",
    ),
    _tag("slice_thickness_mm", 0x00180050, _number(0.01, 100), "mm", "nominal"),
    _tag("spacing_between_slices_mm", 0x00180088, _number(-100, 100), "mm", "as in the header"),
    _tag("pixel_spacing_mm", 0x00280030, _number(0.001, 100), "mm", "of square pixels"),
    _tag("reconstruction_diameter_mm", 0x00181100, _number(1, 2000), "mm", "field of view"),
    _tag(
        "contrast_bolus_agent", 0x00180010, contrast_word, "none",
        "whether the header names a contrast agent: yes or no; empty where it says both",
    ),
    _tag("patient_position", 0x00185100, _position, "none", "DICOM code, such as HFS or FFS"),
)  # fmt: skip

_WANTED = {_SERIES_UID: _MOST_BYTES} | {tag.number: _MOST_BYTES for tag in _TAGS}

COLUMNS = tuple(tag.column for tag in _TAGS)
"""The columns after ``patient_id`` and ``scan_id``, in order."""


def acquisition_of(folder_or_file: Path, series_uid: str | None = None) -> dict[str, Value]:
    """Return the allowed tags of a scan's first CT slice (by file name), in safe forms.

    In a folder with several series, or with several volumes under one UID, the one that is read as
    a scan is described. An Enhanced CT
    keeps most of these tags in nested sequences, which are not read.

    Args:
        folder_or_file: a folder with a DICOM series, or a DICOM file.
        series_uid: a unique ending of the UID of the series, for a folder with several; with
            ``#2``, its second volume.

    Returns:
        Column → value, for the tags that have one. Empty if nothing can be read as DICOM.
    """
    try:
        if not (folder_or_file.is_dir() or is_dicom(folder_or_file)):
            return {}
        files, uid = _files_read(folder_or_file, series_uid)
        for path in files:
            header = _header(path)
            if header and _text(header, _SERIES_UID).endswith(uid):
                kept = {tag.column.name: tag.keep(_text(header, tag.number)) for tag in _TAGS}
                return {name: value for name, value in kept.items() if value != ""}
    except (OSError, UnusableCase):
        log.debug("no acquisition", exc_info=True)
    return {}


def write_acquisition(
    path: Path, rows: Iterable[Mapping[str, Value]], style: TableFormat = _PLAIN
) -> None:
    """Write ``acquisition.csv``, whole or not at all; the same rows give the same bytes.

    Args:
        path: path of the CSV.
        rows: one per scan, in the table's order: ``patient_id``, ``scan_id`` and the values that
            :func:`acquisition_of` returned, if any.
        style: style of the table of features. This file is a CSV in any case.

    Raises:
        ValueError: a row has a column that is not on the allow-list.
        OSError: the file cannot be written.
    """
    names = [column.name for column in (*IDS[:2], *COLUMNS)]
    cells = []
    for row in rows:
        if unknown := set(row) - set(names):
            raise ValueError(f"not columns of acquisition.csv: {', '.join(sorted(unknown))}")
        cells.append([row.get(name) for name in names])
    content = io.BytesIO()
    write_csv(content, names, cells, style)
    write_whole({path: content.getvalue()})


def _files_read(folder_or_file: Path, series_uid: str | None) -> tuple[list[Path], str]:
    """Return the DICOM files where a scan is read, and the end of the UID of its series.

    Slices of its series that are of another volume under the same UID are left out.
    """
    from pancseg.scans.dicom.located import located, of_one_volume  # imports pydicom
    from pancseg.scans.dicom.parts import split_uid
    from pancseg.scans.dicom.study import facts_of

    place = located(folder_or_file, series_uid)
    uid = split_uid(place.series_uid or "")[0]
    files = list(_candidates(place.place))
    known = [facts for file in files if (facts := facts_of(file))]
    slices = [f for f in known if f.modality == "CT" and f.series_uid.endswith(uid)]
    read = of_one_volume(place, slices)[1]
    others = {facts.file for facts in slices} - {facts.file for facts in read}
    return [file for file in files if file not in others], uid


def _candidates(path: Path) -> Iterator[Path]:
    """Yield DICOM files: first the slices of CTs, then the others."""
    if not path.is_dir():
        yield from [path] if is_dicom(path) else []
        return
    entries = sorted(path.iterdir())
    others = []
    for entry in entries:
        if is_ct_slice(entry):
            yield entry
        elif is_dicom(entry):
            others.append(entry)
    yield from others


def _header(path: Path) -> DataSet | None:
    """Read the allowed tags of one file, unconverted; None if it is damaged."""
    try:
        with path.open("rb") as file:
            walk = ElementWalk(file)
            if walk.stated_syntax == _DEFLATED:
                return None
            return walk.data_set(_WANTED, last=max(_WANTED))[0]
    except (DamagedDicom, UnusableCase):
        log.debug("not readable as DICOM", exc_info=True)
        return None


def _text(header: DataSet, tag: int) -> str:
    """Return a tag's bytes as text, with U+FFFD for what is cut off and for bytes beyond ASCII."""
    element = header.get(tag)
    if element is None:
        return ""
    cut = "\ufffd" if element.length > len(element.value) else ""
    return element.value.decode("ascii", "replace").strip(" \0") + cut
