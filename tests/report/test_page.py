"""The page tells what the table says, names nobody, and says what is missing."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest
from command_line import call
from made_output import FEATURES, HOSTILE, make_output
from small_cohort import make_cohort

import pancseg
from pancseg.pictures.row_pictures import SUFFIXES
from pancseg.processing.picture_names import PICTURES_FOLDER
from pancseg.quality.limits import LimitRange, QualityLimits
from pancseg.report.charts import histogram
from pancseg.report.checks import CHECKS
from pancseg.report.cohort import Stage, stages_of
from pancseg.report.output_folder import read_output
from pancseg.report.rows import rows_of
from pancseg.tables.columns import QUALITY

QUICK = pancseg.RunOptions(workers=0, threads=1)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run over two patients with masks, one without, and one unreadable scan."""
    folder = tmp_path_factory.mktemp("small_run")
    manifest = make_cohort(folder, ("a", "b", "auto1"))
    (folder / "broken.nii.gz").write_bytes(b"no scan")
    with manifest.open("a") as lines:
        lines.write("broken,broken.nii.gz,\n")
    code, out, _ = call(
        "extract", manifest, "--out", folder / "out", "--config", folder / "quick.yaml",
        "--workers", 0,
    )  # fmt: skip
    assert code == 1
    assert "page: report/index.html" in out
    return folder / "out"


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    found: dict[str, Any] = json.loads(text)
    return found


def read_page(out: Path) -> str:
    return (out / "report" / "index.html").read_text(encoding="utf-8")


def test_every_row_is_there_with_its_pictures(small_run: Path) -> None:
    page = read_page(small_run)
    rows = {row["id"][0]: row for row in data_of(page)["rows"]}
    assert list(rows) == ["a", "b", "auto1", "broken"]
    for name in ("a", "b"):
        assert set(rows[name]["p"]) == {"slices", "contour", "measured"} - (
            set() if "measured" in rows[name]["p"] else {"measured"}
        )
        for url in rows[name]["p"].values():
            assert (small_run / "report" / unquote(url)).is_file()
    assert set(rows["auto1"]["p"]) == {"slices"}, "a row without a mask shows the scan"
    assert "p" not in rows["broken"]
    assert "1 of 4 rows has no picture" in page
    assert page.count('loading="lazy"') == 3


def test_the_page_says_what_happened_and_what_to_do_with_options(small_run: Path) -> None:
    page = read_page(small_run)
    assert "4 rows of 4 patients: 2 usable; 2 not usable" in page
    assert "no mask was given and none can be made" in page
    assert "copy or export it again" in page
    again = pancseg.write_report(small_run).read_text(encoding="utf-8")
    assert data_of(again)["rows"] == data_of(page)["rows"]


def test_no_path_and_no_address_is_in_the_page(small_run: Path) -> None:
    page = read_page(small_run)
    assert str(small_run.parent) not in page
    assert "scans/" not in page
    outside = re.findall(r"(?:src|href)=\"?(?!#|data:|pictures/)([^\" >]+)", page)
    assert [url for url in outside if not url.startswith(("${", "x"))] == []
    assert "http://www.w3.org" in page, "SVG's namespace is no request"
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) == {"http://www.w3.org/2000/svg"}


def test_checks_are_those_of_the_table(small_run: Path) -> None:
    table = pd.read_csv(small_run / "features.csv")
    row = data_of(read_page(small_run))["rows"][0]
    for check, value in zip(CHECKS, row["c"], strict=True):
        if check.column in table and pd.notna(table[check.column][0]):
            assert value == pytest.approx(table[check.column][0], rel=1e-5)
    limits = limits_on(read_page(small_run), 0)
    assert limits["distance between slices"] == [None, None, 20, 20], "those of the settings"
    assert limits["touches the scan's edge"] == [None, None, 0, None]
    assert limits["volume"] == [None, 25, 150, None], "a drawn mask does not fail by its volume"


def limits_on(page: str, row: int) -> dict[str, Any]:
    """Return name of a check → the limits that the page shows for a row."""
    data = data_of(page)
    names = [check[0] for check in data["checks"]]
    return dict(zip(names, data["limits"][data["rows"][row]["k"]], strict=True))


def test_limits_are_those_of_the_region_and_of_who_drew_it(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 4)
    table = pd.read_csv(out / "features.csv")
    table["roi"] = ["pancreas", "tumour", "rim", "pancreas"]
    table["qc_mask_source"] = ["monet_open", "given", "given", "given"]
    table["qc_mask_label"] = ["1", "2", "ring(1;5mm)", "1"]
    table.to_csv(out / "features.csv", index=False)
    quality = {"regions": {"tumour": {"median_hu": {"warn_below": 20}}}, "slice_mm": "nonsense"}
    (out / "provenance.json").write_text(json.dumps({"run": {}, "features": {"quality": quality}}))
    page = pancseg.write_report(out).read_text(encoding="utf-8")
    network, tumour, ring, drawn = (limits_on(page, row) for row in range(4))
    assert network["volume"] == [10, 25, 150, 300]
    assert drawn["volume"] == [None, 25, 150, None]
    assert tumour["volume"] is None
    assert network["median"] == [0, 40, 160, 250]
    assert tumour["median"] == [None, 20, 160, None]
    assert ring["touches the scan's edge"], "a ring too is judged by it"
    assert ring["median"] is ring["fat"] is ring["volume"] is None
    assert {each["distance between slices"][2] for each in (network, tumour, ring)} == {3}


def test_a_picture_of_an_earlier_mask_is_not_shown(small_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("features.csv", "codebook.csv", "provenance.json"):
        (out / name).write_bytes((small_run / name).read_bytes())
    (out / PICTURES_FOLDER).mkdir(parents=True)
    for picture in (small_run / PICTURES_FOLDER).iterdir():
        (out / PICTURES_FOLDER / picture.name).write_bytes(picture.read_bytes())
    assert len([row for row in rows_of(read_output(out)) if row.pictures]) == 3
    table = pd.read_csv(out / "features.csv")
    table.loc[0, "mask_sha256"] = "f" * 64
    table.to_csv(out / "features.csv", index=False)
    shown = {row.patient_id for row in rows_of(read_output(out)) if row.pictures}
    assert shown == {"b", "auto1"}


@pytest.mark.parametrize(
    "style",
    [
        pancseg.TableFormat(decimal_comma=True, excel=True),
        pancseg.TableFormat(kind="parquet"),
        pancseg.TableFormat(names="pyradiomics"),
    ],
)
def test_every_format_of_the_table_gives_the_same_rows(
    style: pancseg.TableFormat, small_run: Path, tmp_path: Path
) -> None:
    folder = small_run.parent
    pancseg.extract_cohort(
        folder / "cohort.csv", tmp_path, settings=folder / "quick.yaml", table=style, options=QUICK
    )
    page = pancseg.write_report(tmp_path).read_text(encoding="utf-8")
    assert data_of(page)["rows"] == data_of(read_page(small_run))["rows"]


def test_no_report_makes_nothing(small_run: Path, tmp_path: Path) -> None:
    folder = small_run.parent
    code, out, _ = call(
        "extract", folder / "cohort.csv", "--out", tmp_path, "--config", folder / "quick.yaml",
        "--workers", 0, "--no-report",
    )  # fmt: skip
    assert code == 1
    assert "page" not in out
    assert not (tmp_path / "report").exists()
    assert call("report", tmp_path)[0] == 0
    page = read_page(tmp_path)
    assert "1 of 4 rows has no picture, as the\n  scan was not read; the reason says why" in page
    assert "3 of 4 rows have no picture: the\n  run made none" in page
    assert [bool(row.get("u")) for row in data_of(page)["rows"]].count(True) == 1


def test_rows_that_are_not_made_again_keep_their_pictures(small_run: Path, tmp_path: Path) -> None:
    folder = small_run.parent
    run = ("extract", folder / "cohort.csv", "--out", tmp_path, "--config", folder / "quick.yaml")
    call(*run, "--workers", 0)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / PICTURES_FOLDER).iterdir()}
    assert {f"a{suffix}" for suffix in SUFFIXES} >= {n for n in before if n.startswith("a.")}
    _, out, _ = call(*run, "--workers", 0)
    assert "rows unchanged since an earlier run: 2" in out
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / PICTURES_FOLDER).iterdir()}
    same = [name for name in before if name.startswith(("a.", "b."))]
    assert [after[name] for name in same] == [before[name] for name in same]
    assert "1 of 4 rows has no picture" in read_page(tmp_path)


def test_pictures_that_are_missing_are_made_though_their_rows_are_not(
    small_run: Path, tmp_path: Path
) -> None:
    folder = small_run.parent
    run = ("extract", folder / "cohort.csv", "--out", tmp_path, "--config", folder / "quick.yaml")
    call(*run, "--workers", 0, "--no-report")
    table = (tmp_path / "features.csv").read_bytes()
    _, out, _ = call(*run, "--workers", 0)
    assert "rows unchanged since an earlier run: 2" in out
    assert "1 of 4 rows has no picture" in read_page(tmp_path)
    assert (tmp_path / "features.csv").read_bytes() == table


def test_whereabouts_of_scans_are_noted_but_not_under_pseudonyms(
    small_run: Path, tmp_path: Path
) -> None:
    noted = json.loads((small_run / ".pancseg" / "scans.json").read_text())
    assert noted["a"]["image"] == str(small_run.parent / "scans" / "a.nii.gz")
    assert noted["a"]["mask"] == str(small_run.parent / "scans" / "a_mask.nii.gz")
    assert noted["auto1"]["mask"] is None
    (tmp_path / "key").write_text("0123456789abcdef" * 4)
    folder = small_run.parent
    call(
        "extract", folder / "cohort.csv", "--out", tmp_path / "out", "--config",
        folder / "quick.yaml", "--workers", 0, "--pseudonymise", tmp_path / "key",
    )  # fmt: skip
    assert not (tmp_path / "out" / ".pancseg" / "scans.json").exists()
    page = read_page(tmp_path / "out")
    assert "auto1" not in page
    names = [p.name for p in (tmp_path / "out" / PICTURES_FOLDER).iterdir()]
    assert names
    assert not [name for name in names if name.startswith(("a.", "b.", "auto1"))]


# Made-up tables


def test_ids_and_comments_with_html_stay_text(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 3, first_id=HOSTILE)
    review = {"patient_id": HOSTILE, "scan_id": "", "roi": "pancreas", "decision": "accept"}
    review |= {"reason": HOSTILE, "by": "GK", "at": "2026-01-01", "mask_sha256": f"{7:064x}"}
    pd.DataFrame([review]).to_csv(out / "review.csv", index=False)
    page = pancseg.write_report(out).read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert page.count("</script>") == 6, "data and five scripts"
    row = data_of(page)["rows"][0]
    assert row["id"][0] == HOSTILE
    assert row["d"][0]["reason"] == HOSTILE


def test_the_last_decision_counts_and_lapses_with_the_mask(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 3)

    def decided(number: int, decision: str, mask: int) -> dict[str, str]:
        ids = {"patient_id": f"P{number:04}", "scan_id": "", "roi": "pancreas"}
        about = {"reason": decision, "by": "GK", "at": "t", "mask_sha256": f"{mask:064x}"}
        return {**ids, "decision": decision, **about}

    reviews = [decided(0, "reject", 7), decided(0, "accept", 7), decided(0, "comment", 7)]
    reviews += [decided(1, "accept", 1)]
    pd.DataFrame(reviews).to_csv(out / "review.csv", index=False)
    first, second, third = rows_of(read_output(out))
    assert [(each.decision, each.holds) for each in first.decisions] == [
        ("accept", True),
        ("comment", True),
    ]
    assert [(each.decision, each.holds) for each in second.decisions] == [("accept", False)]
    assert third.decisions == ()


def test_an_accepted_warning_is_not_to_look_at_again(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 40)
    warned = [row for row in rows_of(read_output(out)) if row.status == "warn"]
    assert all(row.to_look_at for row in warned)
    row = warned[0]
    number = int(row.patient_id[1:])
    review = {"patient_id": row.patient_id, "scan_id": "", "roi": "pancreas", "reason": "fine"}
    review |= {"decision": "accept", "by": "GK", "at": "t", "mask_sha256": f"{number + 7:064x}"}
    pd.DataFrame([review]).to_csv(out / "review.csv", index=False)
    left = [r for r in rows_of(read_output(out)) if r.to_look_at]
    assert len(left) == len(warned) - 1


def test_percentiles_are_of_the_usable_rows_of_the_region(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 1)
    row = pd.read_csv(out / "features.csv").iloc[0]
    table = pd.DataFrame([row] * 12)
    table["patient_id"] = [f"P{n}" for n in range(12)]
    table["roi"] = ["pancreas"] * 10 + ["tumour"] * 2
    table[FEATURES[0]] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 1000, 5, 6]
    table.loc[table["patient_id"] == "P9", "qc_status"] = "fail"
    table.to_csv(out / "features.csv", index=False)
    rows = rows_of(read_output(out))
    ranks = [row.percentiles[0] for row in rows]
    assert ranks[:9] == [6, 17, 28, 39, 50, 61, 72, 83, 94]
    assert ranks[9:] == [None, None, None], "not usable, and too few of a region"


def test_a_table_without_anything_beside_it_is_shown(tmp_path: Path) -> None:
    """As an earlier version wrote it, or as someone copied it."""
    out = make_output(tmp_path / "out", 5)
    (out / "codebook.csv").unlink()
    (out / "provenance.json").write_text("{ half a fil")
    (out / "run.jsonl").write_text('{"event": "scan", "seconds": 2, "stages": {"read": 1}}\n{"ev')
    page = pancseg.write_report(out).read_text(encoding="utf-8")
    assert "provenance.json cannot be read" in page
    assert len(data_of(page)["rows"]) == 5
    assert stages_of(read_output(out))[1] == 2


def test_a_line_of_the_log_that_somebody_changed_is_left_out(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 2)
    scan = {"event": "scan", "case": "P0000", "stages": {"judge": 2.0}, "seconds": 3}
    lines = [scan, {**scan, "seconds": "much"}, {**scan, "stages": {"judge": None}}]
    (out / "run.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert stages_of(read_output(out)) == ([Stage("judge", 2.0, 1.0, 2.0)], 3)
    pancseg.write_report(out)


def test_a_table_of_an_older_version_is_shown(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 8)
    newer = ["mask_sha256", "image_sha256", "qc_mask_source", "scan_id", "roi"]
    pd.read_csv(out / "features.csv").drop(columns=newer).to_csv(out / "features.csv", index=False)
    page = pancseg.write_report(out).read_text(encoding="utf-8")
    assert [row["id"] for row in data_of(page)["rows"]] == [
        [f"P{n:04}", "", "pancreas"] for n in range(8)
    ]


@pytest.mark.parametrize("name", ["review.csv", "codebook.csv", "acquisition.csv", "run.jsonl"])
def test_what_cannot_be_read_beside_a_table_is_said(name: str, tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 3)
    (out / name).write_bytes(b"patient_id,decision\n\xff\xfe")
    assert f"{name} cannot be read" in pancseg.write_report(out).read_text(encoding="utf-8")


def test_a_table_of_masks_or_without_rows_is_shown(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 4)
    for name in ("codebook.csv", "provenance.json"):
        (out / name).unlink()
    table = pd.read_csv(out / "features.csv").drop(columns=list(FEATURES))
    (out / "features.csv").unlink()
    table.to_csv(out / "masks.csv", index=False)
    page = pancseg.write_report(out).read_text(encoding="utf-8")
    assert "4 rows of 4 patients" in page
    assert "Published volumes" in page
    table.assign(roi="tumour").to_csv(out / "masks.csv", index=False)
    page = pancseg.write_report(out).read_text(encoding="utf-8")
    assert "Volume: tumour" in page
    assert "Published volumes" not in page
    table[:0].to_csv(out / "masks.csv", index=False)
    assert "<h1>no rows</h1>" in pancseg.write_report(out).read_text(encoding="utf-8")


def test_a_message_in_the_table_is_shown(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 2)
    table = pd.read_csv(out / "features.csv")
    table["qc_message"] = ["", "the volume is 4.99 mL"]
    table.to_csv(out / "features.csv", index=False)
    page = pancseg.write_report(out).read_text(encoding="utf-8")
    assert [row.get("m") for row in data_of(page)["rows"]] == [None, "the volume is 4.99 mL"]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        (None, b"", "the folder has no table"),
        ("features.csv", b"a,b\n1,2\n", "has no column patient_id"),
        ("features.csv", b"", "is not a table"),
        ("features.csv", b"\xff\xfe\x00", "is not a table"),
        ("features.csv", b'patient_id,qc_status\n"a,b\n', "is not a table"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(
    name: str | None, content: bytes, line: str, tmp_path: Path
) -> None:
    if name:
        (tmp_path / name).write_bytes(content)
    code, out, err = call("report", tmp_path)
    assert code == 2
    assert line in err
    assert err.count("\n") == 1
    assert not out


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    code, _, err = call("report", tmp_path / "gone")
    assert (code, err.count("\n")) == (2, 1)


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 2)
    (out / "report" / "index.html").mkdir()
    code, _, err = call("report", out)
    assert code == 2
    assert "cannot be written" in err
    assert [p.name for p in (out / "report").iterdir() if p.name.startswith(".partial")] == []


def test_a_large_volume_is_no_power_of_ten(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 2)
    table = pd.read_csv(out / "features.csv")
    table["qc_volume_ml"] = [85184.3, 78.9912]
    table.to_csv(out / "features.csv", index=False)
    page = pancseg.write_report(out).read_text(encoding="utf-8")
    assert re.findall('data-label="mL">([^<]*)<', page) == ["85184", "78.99"]


def test_a_thousand_rows_stay_light(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 1000, picture=b"\xff\xd8\xff\xd9")
    pancseg.write_report(out)  # IBSI's phantom, once
    began = time.process_time()
    path = pancseg.write_report(out)
    assert time.process_time() - began < 60  # a second on a quick machine
    assert path.stat().st_size < 2_000_000
    page = path.read_text(encoding="utf-8")
    assert sum("p" in row for row in data_of(page)["rows"]) == 999
    assert len(os.listdir(out / PICTURES_FOLDER)) == 999


def test_a_histogram_has_a_bar_for_every_value() -> None:
    svg = histogram({"pass": [10, 20, 20], "fail": [20]}, "mL", "a <title>", limits=[15])
    counts = [int(n) for n in re.findall(r"<title>(\d+)</title>", svg)]
    assert sum(counts) == 4
    assert "a &lt;title&gt;" in svg
    assert histogram({"pass": []}, "mL", "none") == ""
    assert histogram({"pass": [5.0]}, "mL", "one value").count("<rect") == 1


def test_limits_follow_the_re_segmentation_of_the_settings(tmp_path: Path) -> None:
    out = make_output(tmp_path / "out", 1)
    settings = pancseg.load_feature_settings("pancreas_ct")
    record = {"run": {}, "features": settings.model_dump(mode="json")}
    (out / "provenance.json").write_text(json.dumps(record))
    page = pancseg.write_report(out).read_text(encoding="utf-8")
    assert limits_on(page, 0)["dense"] == [None, None, 0.01, None], "what is dense is left out"


def test_one_strange_value_does_not_squeeze_a_histogram() -> None:
    volumes = [*range(40, 100, 5), 85_200.0]
    svg = histogram({"fail": volumes}, "mL", "volumes", limits=[25, 150])
    assert sum(int(n) for n in re.findall(r"<title>(\d+)</title>", svg)) == len(volumes)
    assert "1 above" in svg
    assert re.findall(r">(\d+ mL)<", svg) == ["150 mL"]
    wide = histogram({"fail": [0, 100_000]}, "mL", "volumes")
    numbers = re.findall(r'<text x="([\d.]+)" [^>]*>([\d,]+)', wide)
    assert numbers[-1][1] == "100,000"
    assert float(numbers[-2][0]) < 320, "no number runs into the last"


def test_every_limit_of_the_verdict_has_its_check_on_the_page() -> None:
    limits = QualityLimits()
    ranges = {name for name, value in limits if isinstance(value, LimitRange)}
    assert {check.limit for check in CHECKS} == ranges | {""}
    assert [check.code for check in CHECKS if not check.limit] == ["truncated"]
    assert {check.column for check in CHECKS} <= {column.name for column in QUALITY}


def test_a_table_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    make_output(tmp_path, 5)
    table = tmp_path / "features.csv"
    table.write_bytes(table.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"features\.csv is not a table of pancseg's; run again"):
        pancseg.write_report(tmp_path)
