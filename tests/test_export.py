"""Tables that statisticians can use: names, digits and meanings survive R, pandas and Excel."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import frictionless
import pandas as pd
import pytest

from pancseg import pipeline, scans
from pancseg.case import Case
from pancseg.export import Row, TableFormat, fields_of, table_bytes, write_whole
from pancseg.export.tabular import cell, codebook_bytes
from pancseg.features.expected import feature_names
from pancseg.phantom import Phantom
from pancseg.settings import FeatureSettings, load_feature_settings

STRINGS = {"patient_id": str, "scan_id": str, "qc_mask_label": str}


def many_filters() -> FeatureSettings:
    """Original, LoG and wavelets: names with hyphens, of every kind that pyradiomics gives."""
    preset = load_feature_settings("pyradiomics_default")
    types = {"Original": {}, "LoG": {"sigma": [1.0, 2.5]}, "Wavelet": {}, "Square": {}}
    return preset.model_copy(update={"parameters": {**preset.parameters, "imageType": types}})


def run(folder: Path, style: TableFormat, phantom: Phantom, out: str = "out") -> Path:
    """Measure one usable and one unusable patient; return the output folder."""
    scans.write(phantom.image, folder / "secretscan.nrrd")
    scans.write(phantom.mask, folder / "secretmask.nrrd")
    image, mask = folder / "secretscan.nrrd", folder / "secretmask.nrrd"
    cases = [Case("01", image, mask), Case("02", image, scan_id='é;"1,5"')]
    outcomes = pipeline.run_cohort(cases, folder / out, many_filters(), lambda _: None, None, style)
    assert [o.status for o in outcomes] == ["pass", "fail"]
    return folder / out


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, phantom: Phantom) -> Path:
    return run(tmp_path_factory.mktemp("plain"), TableFormat(), phantom)


@pytest.fixture(scope="module")
def values(phantom: Phantom) -> dict[str, float]:
    from pancseg import features

    return features.extract(phantom.image, phantom.mask, many_filters())


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
    assert len(header) == len(set(header)) == 12 + 107 + 93 * 11
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
    assert frame.loc[1].drop(["patient_id", "scan_id", "roi", "qc_status", "qc_reasons",
                              "settings_sha256"]).isna().all()  # fmt: skip


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
    assert list(frame.columns[12:]) == feature_names(many_filters())
    assert "wavelet-HHL_glcm_Idm" in frame.columns
    assert list(safe.columns) != list(frame.columns)
    book = pd.read_csv(plain / "codebook.csv")
    assert book["name"].tolist() == list(safe.columns)
    assert book["original_name"].tolist() == list(frame.columns)
    assert "--names pyradiomics" in (out / "provenance.json").read_text()


def test_the_package_is_valid_and_describes_every_column(plain: Path) -> None:
    report = frictionless.validate(str(plain / "datapackage.json"))
    assert report.valid, report.flatten(["note"])
    package = json.loads((plain / "datapackage.json").read_text())
    assert list(frictionless.Package.metadata_validate(package)) == []
    table, book = package["resources"]
    frame = pd.read_csv(plain / "features.csv", nrows=0)
    assert [f["name"] for f in table["schema"]["fields"]] == list(frame.columns)
    assert all(f["family"] and f["unit"] for f in table["schema"]["fields"])
    assert [f["name"] for f in book["schema"]["fields"]] == list(
        pd.read_csv(plain / "codebook.csv", nrows=0).columns
    )
    rows = pd.read_csv(plain / "codebook.csv", keep_default_na=False)
    known = rows[rows["mode"] != ""]
    assert len(known) == len(frame.columns) - 12
    assert (known["ibsi_status"] != "").all()
    assert (rows["description"][:12] != "").all()


def test_a_changed_table_is_noticed(plain: Path, tmp_path: Path) -> None:
    shutil.copytree(plain, tmp_path / "copy")
    with (tmp_path / "copy" / "features.csv").open("a") as file:
        file.write("\n")
    assert not frictionless.validate(str(tmp_path / "copy" / "datapackage.json")).valid


def test_no_file_names_a_path_and_only_provenance_has_a_time(plain: Path, phantom: Phantom) -> None:
    assert sorted(p.name for p in plain.iterdir()) == [
        "codebook.csv", "datapackage.json", "features.csv", "provenance.json"
    ]  # fmt: skip
    for path in plain.iterdir():
        text = path.read_text(encoding="utf-8")
        for secret in ("secret", ".nrrd", str(plain.parent), "/tmp"):
            assert secret not in text, (path.name, secret)
    again = run(plain.parent, TableFormat(), phantom, "again")
    for path in plain.iterdir():
        same = path.read_bytes() == (again / path.name).read_bytes()
        assert same or path.name == "provenance.json"
    assert re.search(r'"created": "20\d\d-', (plain / "provenance.json").read_text())


def test_hashes_trace_a_row_without_a_path(plain: Path, tmp_path: Path, phantom: Phantom) -> None:
    def hashes(name: str, image: object, mask: object, settings: FeatureSettings) -> list[str]:
        scans.write(image, tmp_path / f"{name}_scan.nii.gz")
        scans.write(mask, tmp_path / f"{name}_mask.nii.gz")
        case = Case("x", tmp_path / f"{name}_scan.nii.gz", tmp_path / f"{name}_mask.nii.gz")
        pipeline.run_cohort([case], tmp_path / name, settings, lambda _: None)
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
    outcomes = pipeline.run_cohort(cases, tmp_path / "out", many_filters(), lambda _: None)
    assert not any(outcome.usable for outcome in outcomes)
    frame, usual = (pd.read_csv(f / "features.csv", nrows=0) for f in (tmp_path / "out", plain))
    assert list(frame.columns) == list(usual.columns)
    assert list(pipeline.table(outcomes, many_filters()).columns) == list(usual.columns)


@pytest.mark.parametrize("blocked", ["features.csv", "codebook.csv"])
def test_a_failed_write_leaves_the_old_files(
    blocked: str, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phantom: Phantom
) -> None:
    out = tmp_path / "out"
    shutil.copytree(plain, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if blocked in path.name:
            write(path, content[:100])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, TableFormat(names="pyradiomics"), phantom)
    left = {p.name: p.read_bytes() for p in out.iterdir() if not p.name.endswith(".partial.csv")}
    assert left == before


def test_files_appear_together(tmp_path: Path) -> None:
    write_whole({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    with pytest.raises(OSError, match=r"."):
        write_whole({tmp_path / "a": b"3", tmp_path / "gone" / "b": b"4"})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"1", "b": b"2"}


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
    assert content[1] == "1,,,,,,,3.0,,5,0.5,,,,"
    assert content[2] == "2,,,,,,,,,,,,,,"
    assert codebook_bytes(fields, TableFormat()).count(b"\n") == len(fields) + 1


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"kind": "xlsx"}, "unknown --format 'xlsx'; known: csv, parquet"),
        ({"names": "short"}, "unknown --names 'short'; known: safe, pyradiomics"),
        ({"kind": "parquet", "excel": True}, "are for CSV"),
        ({"kind": "parquet", "decimal_comma": True}, "are for CSV"),
    ],
)
def test_impossible_formats_are_refused(choice: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TableFormat(**choice)  # type: ignore[arg-type]


def test_parquet_without_pyarrow_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("pancseg.export.table_format.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"needs pyarrow; pip install 'pancseg\[parquet\]'"):
        TableFormat("parquet")
