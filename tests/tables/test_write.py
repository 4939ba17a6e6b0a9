"""Tables that statisticians can use: names, digits and meanings survive R, pandas and Excel."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import frictionless
import pandas as pd
import pytest
from faulty_files import FaultyFiles

from pancseg import (
    Case,
    FeatureSettings,
    QualityLimits,
    RunOptions,
    TableFormat,
    load_feature_settings,
    results_table,
    write_scan,
)
from pancseg.features.expected_names import feature_names
from pancseg.phantom import Phantom
from pancseg.pipeline.cohort_run import run_plan
from pancseg.processing.plan import ProcessingPlan
from pancseg.reasons import REASONS
from pancseg.system.whole_files import partial_path, write_whole
from pancseg.tables.fields import Row, fields_of
from pancseg.tables.rows_to_file import cell, table_bytes, write_codebook
from pancseg.tables.write import write_table

HERE = RunOptions(workers=0, threads=2)
STRINGS = {"patient_id": str, "scan_id": str, "qc_mask_label": str}


def many_filters() -> FeatureSettings:
    """Original, LoG and wavelets: names with hyphens, of every kind that pyradiomics gives."""
    preset = load_feature_settings("pyradiomics_default")
    types = {"Original": {}, "LoG": {"sigma": [1.0, 2.5]}, "Wavelet": {}, "Square": {}}
    return preset.model_copy(update={"parameters": {**preset.parameters, "imageType": types}})


def run(folder: Path, style: TableFormat, phantom: Phantom, out: str = "out") -> Path:
    """Measure one usable and one unusable patient; return the output folder."""
    write_scan(phantom.image, folder / "secretscan.nrrd")
    other = phantom.image[:]
    other[0, 0, 0] = other[0, 0, 0] + 1
    write_scan(other, folder / "secretother.nrrd")
    write_scan(phantom.mask, folder / "secretmask.nrrd")
    image, mask = folder / "secretscan.nrrd", folder / "secretmask.nrrd"
    cases = [Case("01", image, mask), Case("02", folder / "secretother.nrrd", scan_id='é;"1,5"')]
    work = ProcessingPlan("extract", many_filters())
    outcomes = run_plan(cases, folder / out, work, options=HERE, style=style)
    assert [o.status for o in outcomes] == ["pass", "fail"]
    return folder / out


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, phantom: Phantom) -> Path:
    return run(tmp_path_factory.mktemp("plain"), TableFormat(), phantom)


@pytest.fixture(scope="module")
def values(phantom: Phantom) -> dict[str, float]:
    from pancseg import extract_features

    return extract_features(phantom.image, phantom.mask, many_filters())


def make_names(name: str) -> str:
    """What R's ``make.names`` does to a column name (``read.csv`` applies it)."""
    name = re.sub(r"[^A-Za-z0-9._]", ".", name)
    if not re.match(r"([A-Za-z]|\.(?![0-9]))", name):
        name = "X" + name
    return (
        name + "." if name in {"if", "else", "for", "in", "NA", "NULL", "TRUE", "FALSE"} else name
    )


def test_every_name_survives_r_and_spss(plain: Path) -> None:
    header = (plain / "features.csv").read_text().split("\n")[0].split(",")
    assert len(header) == len(set(header)) == 28 + 107 + 93 * 11
    for name in header:
        assert make_names(name) == name
        assert len(name) <= 64


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_r_reads_the_same_names_and_values(plain: Path, tmp_path: Path) -> None:
    script = (
        'a <- commandArgs(TRUE); t <- read.csv(a[1], na.strings=""); '
        "writeLines(names(t), a[2]); n <- sapply(t, is.numeric); "
        'writeLines(sprintf("%.17g", unlist(t[1, n])), a[3])'
    )
    names, numbers = tmp_path / "names", tmp_path / "numbers"
    subprocess.run(["Rscript", "-e", script, plain / "features.csv", names, numbers], check=True)
    frame = pd.read_csv(plain / "features.csv", float_precision="round_trip")
    assert names.read_text().split() == list(frame.columns)
    ours = frame.filter(regex="_(shape|firstorder|gl|ngtdm)").iloc[0]
    theirs = [float(n) for n in numbers.read_text().split()[-len(ours) :]]
    assert theirs == pytest.approx(list(ours), rel=1e-15)


def test_numbers_are_read_back_to_the_last_bit(plain: Path, values: dict[str, float]) -> None:
    frame = pd.read_csv(plain / "features.csv", float_precision="round_trip", dtype=STRINGS)
    book = pd.read_csv(plain / "codebook.csv").set_index("original_name")["name"]
    for original, value in values.items():
        assert frame.loc[0, book[original]] == value
    of_its_scan = ["qc_lowest_hu", "qc_slice_mm", "image_sha256"]
    filled = ["patient_id", "scan_id", "roi", "qc_status", "qc_reasons", "qc_message"]
    assert frame.loc[1].drop([*filled, "settings_sha256", *of_its_scan]).isna().all()
    same = frame.loc[1, of_its_scan] == frame.loc[0, of_its_scan]
    assert same.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("excel", "comma", "how"),
    [
        (True, False, {}),
        (False, True, {"sep": ";", "decimal": ","}),
        (True, True, {"sep": ";", "decimal": ","}),
    ],
)
def test_excel_and_decimal_comma_hold_the_same_numbers(
    excel: bool, comma: bool, how: dict[str, str], plain: Path, tmp_path: Path, phantom: Phantom
) -> None:
    out = run(tmp_path, TableFormat(excel=excel, decimal_comma=comma), phantom)
    for name in ("features.csv", "codebook.csv"):
        assert (out / name).read_bytes().startswith(b"\xef\xbb\xbf") == excel
    read = {"float_precision": "round_trip", "dtype": STRINGS}
    ours = pd.read_csv(out / "features.csv", **how, **read)
    theirs = pd.read_csv(plain / "features.csv", **read)
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    book = pd.read_csv(out / "codebook.csv", sep=how.get("sep", ","))
    assert "mm³" in set(book["unit"])
    report = frictionless.validate(str(out / "datapackage.json"))
    assert report.valid, report.flatten(["note"])


def test_parquet_holds_the_same_values(
    plain: Path, tmp_path: Path, phantom: Phantom, values: dict[str, float]
) -> None:
    pytest.importorskip("pyarrow")
    out = run(tmp_path, TableFormat("parquet", names="pyradiomics"), phantom)
    assert not (out / "features.csv").exists()
    frame = pd.read_parquet(out / "features.parquet")
    assert {name: frame.loc[0, name] for name in values} == values
    assert frame["patient_id"].tolist() == ["01", "02"]
    assert frame["qc_reasons"].isna().tolist() == [True, False]
    assert frame["qc_message"].isna().tolist() == [True, False]
    before = (out / "features.parquet").read_bytes()
    run(tmp_path, TableFormat("parquet", names="pyradiomics"), phantom)
    assert (out / "features.parquet").read_bytes() == before
    package = json.loads((out / "datapackage.json").read_text())
    report = frictionless.validate(str(out / "datapackage.json"))
    assert report.valid, report.flatten(["note"])
    assert [f["name"] for f in package["resources"][0]["schema"]["fields"]] == list(frame.columns)


def test_names_can_be_the_original_ones(tmp_path: Path, phantom: Phantom, plain: Path) -> None:
    out = run(tmp_path, TableFormat(names="pyradiomics"), phantom)
    frame, safe = (pd.read_csv(folder / "features.csv", nrows=0) for folder in (out, plain))
    assert list(frame.columns[28:]) == feature_names(many_filters())
    assert "wavelet-HHL_glcm_Idm" in frame.columns
    assert list(safe.columns) != list(frame.columns)
    book = pd.read_csv(plain / "codebook.csv")
    assert book["name"].tolist() == list(safe.columns)
    assert book["original_name"].tolist() == list(frame.columns)
    assert json.loads((out / "provenance.json").read_text())["run"]["names"] == "pyradiomics"


def test_the_package_is_valid_and_describes_every_column(plain: Path) -> None:
    report = frictionless.validate(str(plain / "datapackage.json"))
    assert report.valid, report.flatten(["note"])
    package = json.loads((plain / "datapackage.json").read_text())
    assert list(frictionless.Package.metadata_validate(package)) == []
    results_table, book = package["resources"]
    frame = pd.read_csv(plain / "features.csv", nrows=0)
    assert [f["name"] for f in results_table["schema"]["fields"]] == list(frame.columns)
    assert all(f["family"] and f["unit"] for f in results_table["schema"]["fields"])
    assert [f["name"] for f in book["schema"]["fields"]] == list(
        pd.read_csv(plain / "codebook.csv", nrows=0).columns
    )
    rows = pd.read_csv(plain / "codebook.csv", keep_default_na=False)
    known = rows[rows["mode"] != ""]
    assert len(known) == len(frame.columns) - 28
    assert (known["ibsi_status"] != "").all()
    assert (rows["description"] != "").all()
    told = rows.set_index("name")["description"]
    assert all(f"{code} = {REASONS[code].happened}" in told["qc_reasons"] for code in REASONS)
    labels = pd.read_csv(plain / "value_labels.tsv", sep="\t", dtype=str)
    assert set(labels["column"]) <= set(frame.columns)
    reasons = labels[labels["column"] == "qc_reasons"].set_index("value")["label"]
    assert set(reasons.index) == {*REASONS, "KeyError, …"}
    assert reasons["empty_mask"] == "the mask is empty"


def test_a_changed_table_is_noticed(plain: Path, tmp_path: Path) -> None:
    shutil.copytree(plain, tmp_path / "copy")
    with (tmp_path / "copy" / "features.csv").open("a") as file:
        file.write("\n")
    assert not frictionless.validate(str(tmp_path / "copy" / "datapackage.json")).valid


def test_no_file_names_a_path_and_only_provenance_has_a_time(plain: Path, phantom: Phantom) -> None:
    files = sorted(path for path in plain.rglob("*") if path.is_file())
    assert [str(path.relative_to(plain)) for path in files] == [
        ".pancseg/journal.jsonl", ".pancseg/lock", ".pancseg/scans.json", "codebook.csv",
        "datapackage.json", "features.csv", "provenance.json", "run.jsonl", "value_labels.tsv",
    ]  # fmt: skip
    files = [path for path in files if path.name != "scans.json"]  # it tells where scans are
    for path in files:
        text = path.read_text(encoding="utf-8")
        for secret in ("secret", ".nrrd", str(plain.parent), "/tmp"):
            assert secret not in text, (path.name, secret)
    again = run(plain.parent, TableFormat(), phantom, "again")
    for path in files:
        same = path.read_bytes() == (again / path.relative_to(plain)).read_bytes()
        assert same or path.name in ("provenance.json", "run.jsonl")
    assert re.search(r'"created": "20\d\d-', (plain / "provenance.json").read_text())


def test_hashes_trace_a_row_without_a_path(plain: Path, tmp_path: Path, phantom: Phantom) -> None:
    def hashes(name: str, image: object, mask: object, settings: FeatureSettings) -> list[str]:
        write_scan(image, tmp_path / f"{name}_scan.nii.gz")
        write_scan(mask, tmp_path / f"{name}_mask.nii.gz")
        case = Case("x", tmp_path / f"{name}_scan.nii.gz", tmp_path / f"{name}_mask.nii.gz")
        run_plan([case], tmp_path / name, ProcessingPlan("extract", settings), options=HERE)
        frame = pd.read_csv(tmp_path / name / "features.csv")
        return frame[["image_sha256", "mask_sha256", "settings_sha256"]].iloc[0].tolist()

    columns = ["image_sha256", "mask_sha256", "settings_sha256"]
    before = pd.read_csv(plain / "features.csv", dtype=STRINGS)[columns].iloc[0].tolist()
    assert hashes("same", phantom.image, phantom.mask, many_filters()) == before
    provenance = json.loads((plain / "provenance.json").read_text())
    assert provenance["settings_sha256"] == before[2]
    image, mask = phantom.image[:], phantom.mask[:]
    image[0, 0, 0] += 1
    preset = load_feature_settings("pyradiomics_default")
    after = hashes("other", image, mask, preset)
    assert [a == b for a, b in zip(after, before, strict=True)] == [False, True, False]


def test_columns_do_not_depend_on_which_rows_failed(tmp_path: Path, plain: Path) -> None:
    cases = [Case(name, tmp_path / "gone.nii.gz") for name in "ab"]
    work = ProcessingPlan("extract", many_filters())
    outcomes = run_plan(cases, tmp_path / "out", work, options=HERE)
    assert not any(outcome.usable for outcome in outcomes)
    frame, usual = (pd.read_csv(f / "features.csv", nrows=0) for f in (tmp_path / "out", plain))
    assert list(frame.columns) == list(usual.columns)
    assert list(results_table(outcomes, many_filters()).columns) == list(usual.columns)


def test_a_table_of_another_kind_does_not_stay(tmp_path: Path) -> None:
    """It would lie beside a codebook and a provenance that are not its own."""
    pytest.importorskip("pyarrow")
    work, cases = ProcessingPlan("extract", many_filters()), [Case("a", tmp_path / "gone.nii.gz")]
    for kind, other in (("csv", "parquet"), ("parquet", "csv"), ("csv", "parquet")):
        style = TableFormat(kind)
        run_plan(cases, tmp_path / "out", work, options=HERE, style=style)
        assert (tmp_path / "out" / f"features.{kind}").exists()
        assert not (tmp_path / "out" / f"features.{other}").exists()
        described = json.loads((tmp_path / "out" / "datapackage.json").read_text())
        assert described["resources"][0]["path"] == f"features.{kind}"


@pytest.mark.parametrize("full", ["features.csv", "codebook.csv", "datapackage.json"])
def test_a_full_disk_leaves_the_old_files(
    full: str, plain: Path, tmp_path: Path, phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(plain, out)
    names = ("features.csv", "codebook.csv", "datapackage.json", "provenance.json")
    before = [(out / name).read_bytes() for name in names]
    FaultyFiles(1, lambda path: path == partial_path(out / full), always=True).install(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, TableFormat(names="pyradiomics"), phantom)
    assert [(out / name).read_bytes() for name in names] == before


def test_a_full_disk_stops_parquet_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    FaultyFiles(1, always=True).install(monkeypatch)
    fields = fields_of(MIXED, [], None)
    with pytest.raises(OSError, match="No space left"):
        write_table(tmp_path / "t.parquet", fields, MIXED, TableFormat("parquet"), {})
    assert list(tmp_path.iterdir()) == []


def test_killed_while_writing_the_old_table_stays(tmp_path: Path) -> None:
    write_whole({tmp_path / "features.csv": b"old"})
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from pancseg.tables.fields import fields_of\n"
        "from pancseg.tables.format import TableFormat\n"
        "from pancseg.tables.write import write_table\n"
        "def rows():\n"
        "    for number in range(1000):\n"
        "        yield {'patient_id': str(number) * 100}\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "fields = fields_of([{'patient_id': '1'}], [], None)\n"
        "path = Path(sys.argv[1], 'features.csv')\n"
        "write_table(path, fields, rows(), TableFormat(), {'note': b'1'})\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode
    assert ended == -signal.SIGKILL
    partial, results_table = sorted(tmp_path.iterdir())
    assert (results_table.name, results_table.read_bytes()) == ("features.csv", b"old")
    assert re.fullmatch(r"\.partial-\d+-features\.csv", partial.name)
    assert partial.stat().st_size > 100_000


def test_names_are_given_in_order_once_all_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("sync"), sync(number)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append(b.name), replace(a, b)))
    write_table(tmp_path / "t.csv", fields_of(MIXED, [], None), MIXED, TableFormat(), {"note": b""})
    names = ["note", "codebook.csv", "datapackage.json", "value_labels.tsv", "t.csv"]
    assert done == ["sync"] * 5 + names


MIXED: list[Row] = [
    {"patient_id": "007", "scan_id": 'a,"b"', "qc_volume_ml": 1 / 3, "qc_voxels": 5, "qc_note": ""},
    {"patient_id": "é;ü", "scan_id": "two\nlines", "qc_reasons": "a;b", "qc_voxels": 2**40,
     "qc_share": 1},
    {"patient_id": "日本", "scan_id": "cr\rx", "qc_volume_ml": float("nan"), "qc_share": 1e-300,
     "qc_note": "0,5"},
    {"patient_id": "=1+1", "scan_id": " -12", "qc_volume_ml": 5.0, "qc_share": 12345678.123456789},
]  # fmt: skip
HEADER = (
    "patient_id,scan_id,roi,qc_status,qc_reasons,qc_message,qc_mask_source,qc_mask_label,"
    "qc_volume_ml,qc_grid_mm,qc_components,qc_largest_share,qc_touches_edge,qc_empty_slices,"
    "qc_median_hu,qc_fat_share,qc_dense_share,qc_lowest_hu,qc_slice_mm,qc_slice_thickness_mm,"
    "qc_series_choice,qc_phase_hint,qc_resegmented_share,"
    "qc_uncertainty_dice,qc_looks_dice,qc_voxels,qc_note,qc_share,image_sha256,mask_sha256,settings_sha256\n"
)
WITH_POINTS = (
    '007,"a,""b""",,,,,,,0.3333333333333333,,,,,,,,,,,,,,,,,5,,,,,\n'
    'é;ü,"two\nlines",,,a;b,,,,,,,,,,,,,,,,,,,,,1099511627776,,1,,,\n'
    '日本,"cr\rx",,,,,,,,,,,,,,,,,,,,,,,,,"0,5",1e-300,,,\n'
    "=1+1, -12,,,,,,,5.0,,,,,,,,,,,,,,,,,,,12345678.12345679,,,\n"
)
WITH_COMMAS = (
    '007;"a,""b""";;;;;;;0,3333333333333333;;;;;;;;;;;;;;;;;5;;;;;\n'
    '"é;ü";"two\nlines";;;"a;b";;;;;;;;;;;;;;;;;;;;;1099511627776;;1;;;\n'
    '日本;"cr\rx";;;;;;;;;;;;;;;;;;;;;;;;;0,5;1e-300;;;\n'
    "=1+1; -12;;;;;;;5,0;;;;;;;;;;;;;;;;;;;12345678,12345679;;;\n"
)


@pytest.mark.parametrize(
    ("style", "text"),
    [
        (TableFormat(), HEADER + WITH_POINTS),
        (TableFormat(excel=True), "\ufeff" + HEADER + WITH_POINTS),
        (TableFormat(decimal_comma=True), HEADER.replace(",", ";") + WITH_COMMAS),
    ],
    ids=["plain", "excel", "comma"],
)
def test_the_bytes_of_a_csv(style: TableFormat, text: str, tmp_path: Path) -> None:
    fields = fields_of(MIXED, [], None)
    assert table_bytes(fields, MIXED, style).decode() == text
    write_table(tmp_path / "t.csv", fields, MIXED, style, {})
    assert (tmp_path / "t.csv").read_bytes().decode() == text
    for resource in json.loads((tmp_path / "datapackage.json").read_text())["resources"]:
        content = (tmp_path / resource["path"]).read_bytes()
        assert resource["bytes"] == len(content)
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_any_id_is_read_back_as_it_was() -> None:
    ids = [
        *(str(row["patient_id"]) for row in MIXED),
        "-12",
        "+1",
        "@a",
        "two\nlines",
        "cr\rx",
        "a\t",
    ]
    rows: list[Row] = [{"patient_id": patient} for patient in ids]
    content = table_bytes(fields_of(rows, [], None), rows, TableFormat())
    frame = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    assert frame["patient_id"].tolist() == ids


def test_parquet_groups_hold_what_the_rows_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("pancseg.tables.rows_to_file.ROWS_PER_GROUP", 3)
    fields = fields_of(MIXED, [], None)
    file = parquet.ParquetFile(io.BytesIO(table_bytes(fields, MIXED, TableFormat("parquet"))))
    assert file.num_row_groups == 2
    results_table = file.read().to_pydict()
    assert results_table["qc_volume_ml"] == [1 / 3, None, None, 5.0]
    assert results_table["qc_voxels"] == [5, 2**40, None, None]
    assert results_table["qc_share"] == [None, 1.0, 1e-300, 12345678.123456789]
    assert results_table["qc_note"] == [None, None, "0,5", None]
    assert results_table["scan_id"] == ['a,"b"', "two\nlines", "cr\rx", " -12"]
    kinds = {field.name: str(file.schema_arrow.field(field.name).type) for field in fields}
    named = {"string": "string", "integer": "int64", "number": "double"}
    assert kinds == {field.name: named[field.type] for field in fields}
    empty = parquet.ParquetFile(io.BytesIO(table_bytes(fields, [], TableFormat("parquet"))))
    assert empty.metadata.num_rows == 0
    assert empty.schema_arrow.equals(file.schema_arrow)


class OneRow(dict[str, Any]):
    """A row that can be watched."""

    __hash__ = object.__hash__  # type: ignore[assignment]


class Rows:
    """Rows made anew at every walk; counts the walks, and how many rows are there at a time."""

    def __init__(self, count: int, folder: Path) -> None:
        self.count, self.folder = count, folder
        self.walks = self.most = 0
        self.on_disk = [0]

    def __iter__(self) -> Iterator[Row]:
        self.walks += 1
        alive: weakref.WeakSet[OneRow] = weakref.WeakSet()
        for number in range(self.count):
            row = OneRow(patient_id=str(number), roi="pancreas", qc_note="x" * 2000)
            alive.add(row)
            yield row
            self.most = max(self.most, len(alive))
            self.on_disk.append(sum(p.stat().st_size for p in self.folder.glob(".partial-*-t.*")))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_are_walked_twice_and_never_held(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr("pancseg.tables.rows_to_file.ROWS_PER_GROUP", 300)
    rows = Rows(3000, tmp_path)
    fields = fields_of(rows, [], None)
    write_table(tmp_path / f"t.{kind}", fields, rows, TableFormat(kind), {})
    assert rows.walks == 2
    assert rows.most <= 3
    size = (tmp_path / f"t.{kind}").stat().st_size
    assert max(rows.on_disk) > size / 2  # written as it goes, not at the end
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    assert read(tmp_path / f"t.{kind}")["patient_id"].astype(int).tolist() == list(range(3000))


def test_rows_that_are_gone_after_one_walk_are_refused() -> None:
    with pytest.raises(TypeError, match="iterated only once"):
        fields_of(iter(MIXED), [], None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1 / 3, "0.3333333333333333"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-300, "1e-300"),
        (5, "5"),
        (5.0, "5.0"),
        (float("nan"), ""),
        ("", ""),
        (None, ""),
        ("a,b", "a,b"),
    ],
)
def test_cells(value: float | str | None, text: str) -> None:
    assert cell(value) == text


def test_the_codebook_names_the_limits_of_the_settings() -> None:
    limits = QualityLimits(fat_below_hu=-50, dense_above_hu=250.5)
    settings = load_feature_settings().model_copy(update={"quality": limits})
    for chosen, fat, dense in ((None, "-30", "300"), (settings, "-50", "250.5")):
        told = {field.name: field.description for field in fields_of([], [], chosen)}
        assert told["qc_fat_share"] == f"share of the region below {fat} HU"
        assert told["qc_dense_share"] == f"share of the region above {dense} HU"


def test_types_are_those_of_the_column_not_of_its_rows() -> None:
    rows: list[Row] = [
        {"patient_id": "1", "qc_voxels": 5, "qc_share": 0.5, "qc_volume_ml": 3.0},
        {"patient_id": "2"},
    ]
    fields = fields_of(rows, ["original_glcm_Idm"], load_feature_settings())
    kinds = {field.name: (field.type, field.family) for field in fields}
    assert kinds["qc_voxels"] == ("integer", "quality")
    assert kinds["qc_share"] == ("number", "quality")
    assert kinds["qc_grid_mm"] == ("string", "quality")
    assert kinds["original_glcm_Idm"] == ("number", "glcm")
    names = [field.name for field in fields]
    assert names[:3] == ["patient_id", "scan_id", "roi"]
    assert names.index("qc_share") < names.index("image_sha256") < names.index("original_glcm_Idm")
    content = table_bytes(fields, rows, TableFormat()).decode().split("\n")
    assert content[1] == "1,,,,,,,,3.0" + 17 * "," + "5,0.5,,,,"
    assert content[2] == "2" + 30 * ","
    codebook = io.BytesIO()
    written = write_codebook(codebook, fields, TableFormat())
    assert codebook.getvalue().count(b"\n") == len(fields) + 1
    assert written.size_bytes == len(codebook.getvalue())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([5, "", 7], "integer"),
        ([float("nan"), 5, 0.5], "number"),
        ([0.5, 5], "number"),
        ([5, "a", 0.5], "string"),
        (["a", 5], "string"),
        ([float("nan"), ""], "string"),
    ],
)
def test_the_type_of_an_unknown_column_holds_all_its_values(
    values: list[float | str], kind: str
) -> None:
    rows: list[Row] = [{}, *({"qc_new": value} for value in values)]
    types = {field.name: field.type for field in fields_of(rows, [], None)}
    assert types["qc_new"] == kind


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"kind": "xlsx"}, "unknown `kind` 'xlsx'; known: csv, parquet"),
        ({"names": "short"}, "unknown `names` 'short'; known: safe, pyradiomics"),
        ({"kind": "parquet", "excel": True}, "are for CSV"),
        ({"kind": "parquet", "decimal_comma": True}, "are for CSV"),
    ],
)
def test_impossible_formats_are_refused(choice: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TableFormat(**choice)  # type: ignore[arg-type]


def test_parquet_without_pyarrow_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("pancseg.tables.format.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"needs pyarrow; run pip install 'pancseg\[parquet\]'"):
        TableFormat("parquet")
