"""Read how a CT was acquired, from an allow-list of DICOM tags in forms that identify nobody.

People type into DICOM headers, so no text is copied unchecked. Numbers must be in a plausible
range, and words must be known here; unknown words become ``other``. Nothing else is read: no UID,
date, time, name, accession number, description or comment.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pancseg.scans.dicom.detect import is_ct_slice, is_dicom
from pancseg.system.whole_files import write_whole
from pancseg.tables.columns import IDS, Column, Type
from pancseg.tables.fields import Value
from pancseg.tables.format import TableFormat
from pancseg.tables.rows_to_file import write_csv

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

log = logging.getLogger(__name__)

_SERIES_UID = 0x0020000E
_DEFLATED = "1.2.840.10008.1.2.1.99"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
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
_KERNEL_WORDS = (
    "standard|stnd|std|soft|vsoft|smooth|detail|detl|lung|bone|boneplus|chest|edge|ultra|sharp|"
    "vsharp|medium|body|brain|abdomen"
)
_KERNEL = re.compile(
    r"[A-Z][a-z]?\d{2,3}[a-z]{0,2}(?:/\d)?"  # Siemens: B30f, I31f/3, Br40d/3
    r"|F[CLS]\d{2}(?:-[A-Z0-9]{1,2})?"  # Canon and Toshiba: FC08, FC13-H
    r"|[A-FLUY][A-E]?"  # Philips: B, C, YA, UB
    rf"|(?:[BHL][_ ])?(?i:{_KERNEL_WORDS})(?:[_ ][A-E]|\+)?"  # GE: STANDARD; UIH: B_SOFT_B
)
_POSITION = re.compile(r"(?:HF|FF|LF|RF|AF|PF)(?:P|S|DR|DL)")
_NOT = (
    r"(?:no|none|non(?!\W*ionic)|not|nil|n/?[ac]|false|w/?o|without|ohne|nativ\w*|kein\w*|nein|sans|"
    r"sin)\b"
)
_NO_CONTRAST = re.compile(
    rf"\W*(?:(?:{_NOT}|n\b|0(?:[.,]0+)?\b)(?:\W*\b(?:{_NOT}|(?:i\.?v|oral|con|[ck]ontrast\w*|km|agents?|"
    r"medi\w+|ml|cc|ct|scan|study|phase|enhanced|injection|gabe|given|used|administered|applied|"
    r"gegeben)\b))*\W*)?",
    re.IGNORECASE,
)
"""Empty, or a negation followed only by words about contrast."""
_LONGEST_TEXT = 64
"""Length of a DICOM long string; the rest of a longer text is ignored."""
_SAYS_NO = re.compile(rf"\W*{_NOT}", re.IGNORECASE)


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
    """Keep known words of scanner names, and numbers of up to three digits."""
    kept = []
    for name, digits in re.findall(r"([^\s_]*?)([0-9]{0,3})(?=[\s_]|$)", text):
        if (whole := _MODEL_WORDS.get((name + digits).lower())) is not None:
            kept.append(whole)
        elif not name or name.lower() in _MODEL_WORDS:
            kept.append(_MODEL_WORDS.get(name.lower(), "") + digits)
    if not any(word.strip("0123456789") for word in kept):  # numbers alone name no model
        return "other" if text else ""
    return " ".join(word for word in kept if word)


def _kernel(text: str) -> Value:
    kernel = "/".join(part.strip() for part in text.split("\\"))
    return kernel if _KERNEL.fullmatch(kernel) else "other" if text else ""


def _contrast(text: str) -> Value:
    text = text[:_LONGEST_TEXT].replace("\ufffd", "x")  # a letter of another script
    if _NO_CONTRAST.fullmatch(text):
        return "no"
    return "" if _SAYS_NO.match(text) else "yes"  # "no oral, IV ..." means both


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
        "convolution_kernel", 0x00181210, _kernel, "none",
        "reconstruction kernel of a known form, or other",
    ),
    _tag("slice_thickness_mm", 0x00180050, _number(0.01, 100), "mm", "nominal"),
    _tag("spacing_between_slices_mm", 0x00180088, _number(-100, 100), "mm", "as in the header"),
    _tag("pixel_spacing_mm", 0x00280030, _number(0.001, 100), "mm", "of square pixels"),
    _tag("reconstruction_diameter_mm", 0x00181100, _number(1, 2000), "mm", "field of view"),
    _tag(
        "contrast_bolus_agent", 0x00180010, _contrast, "none",
        "whether the header names a contrast agent: yes or no; empty where it says both",
    ),
    _tag("patient_position", 0x00185100, _position, "none", "DICOM code, such as HFS or FFS"),
)  # fmt: skip

COLUMNS = tuple(tag.column for tag in _TAGS)
"""The columns after ``patient_id`` and ``scan_id``, in order."""


def acquisition_of(folder_or_file: Path, series_uid: str | None = None) -> dict[str, Value]:
    """Return the allowed tags of a scan's first CT slice (by file name), in safe forms.

    In a folder with several series and no ``series_uid``, any of them may be read; such a folder is
    refused as a scan anyway. An Enhanced CT keeps most of these tags in nested sequences, which are
    not read.

    Args:
        folder_or_file: a folder with a DICOM series, or a DICOM file.
        series_uid: a unique ending of the UID of the series, for a folder with several.

    Returns:
        Column → value, for the tags that have one. Empty if nothing can be read as DICOM.
    """
    try:
        for path in _candidates(folder_or_file):
            header = _header(path)
            if header and (not series_uid or _text(header, _SERIES_UID).endswith(series_uid)):
                kept = {tag.column.name: tag.keep(_text(header, tag.number)) for tag in _TAGS}
                return {name: value for name, value in kept.items() if value != ""}
    except OSError:
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


def _header(path: Path) -> Dataset | None:
    """Read the allowed tags of one file, unconverted; None if it is damaged."""
    import pydicom  # takes 0.3 s, which cohorts without DICOM are spared
    from pydicom.filereader import read_file_meta_info

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote the file
            if read_file_meta_info(path).get("TransferSyntaxUID") == _DEFLATED:
                return None  # pydicom would unpack all of it, whatever its size
            tags = [_SERIES_UID, *(tag.number for tag in _TAGS)]
            return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
    except Exception:  # pydicom raises many kinds on damaged files
        log.debug("not readable as DICOM", exc_info=True)
        return None


def _text(header: Dataset, tag: int) -> str:
    """Return a tag's bytes as text, with U+FFFD for every byte that is not ASCII."""
    if tag not in header:
        return ""
    value = header.get_item(tag).value
    return value.decode("ascii", "replace").strip(" \0") if isinstance(value, bytes) else ""
