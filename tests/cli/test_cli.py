"""The command line is a thin translation: options, messages, exit codes; and it starts at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import SimpleITK as sitk
import typer
from command_line import call
from conftest import ROOT

from pancseg import __version__, write_scan
from pancseg.cli import app
from pancseg.features import DEFAULT_PRESET
from pancseg.phantom import Phantom
from pancseg.segmentation import DEFAULT_WEIGHTS

pytestmark = pytest.mark.usefixtures("in_process")


def commands(group: typer.core.TyperGroup, before: str = "") -> dict[str, typer.core.TyperCommand]:
    """Return all commands by their whole names, those of groups included."""
    found = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found.update(
            commands(command, f"{before}{name} ") if inner else {f"{before}{name}": command}
        )
    return found


COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize("statement", ["import pancseg", "import pancseg.cli"])
def test_importing_is_light(statement: str) -> None:
    heavy = "{'torch', 'radiomics', 'SimpleITK', 'pandas', 'numpy', 'scipy', 'sklearn'}"
    code = f"import sys; {statement}; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_help_imports_neither_torch_nor_radiomics(arguments: list[str]) -> None:
    code = (
        "import sys; from pancseg.cli import app\n"
        f"try: app({arguments!r})\nexcept SystemExit: pass\n"
        "found = {'torch', 'radiomics', 'SimpleITK', 'pandas'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_defaults_are_those_of_the_library() -> None:
    defaults = {p.name: p.default for p in COMMANDS["run"].params}
    assert defaults["weights"] == DEFAULT_WEIGHTS
    assert defaults["config"] == DEFAULT_PRESET


def test_version_is_printed() -> None:
    assert call("--version") == (0, f"pancseg {__version__}\n", "")


def _is_of(name: str, commands: str) -> bool:
    """Whether ``all``, ``all but a, b`` or ``a, b`` holds a command."""
    if commands.startswith("all but "):
        return name not in commands.removeprefix("all but ").split(", ")
    return bool({"all", name} & set(commands.split(", ")))


def test_the_options_of_the_cohort_commands_are_said_to_be_theirs() -> None:
    text = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    said = re.findall(r"^\| (`--[^|]*) \| ([a-z, ]+) \|", text, re.M)
    for name in ("check", "segment", "extract", "run", "demo"):
        options = {o for p in COMMANDS[name].params for o in p.opts if o.startswith("--")}
        told = {
            option
            for words, commands in said
            if _is_of(name, commands)
            for option in re.findall(r"--[a-z-]+", words)
        }
        assert options == told - {"--help"}, name


def test_every_command_and_option_is_documented() -> None:
    text = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    for name, command in COMMANDS.items():
        assert f"`pancseg {name}" in text
        assert command.help
        for parameter in command.params:
            long_names = [o for o in parameter.opts if o.startswith("--")]
            assert all(f"`{o}" in text for o in long_names), (name, long_names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "gone", "--out", "o"], "cohort: no such file or folder"),
        (
            ["extract", "SCAN", "--out", "o", "--config", "nope"],
            "no such preset or file; give a YAML file, or one of the presets",
        ),
        (["run", "SCAN", "--out", "o", "--weights", "nope"], "there is no checkpoint 'nope'"),
        (["extract", "SCAN", "--out", "o", "--masks", "gone"], "no such mask file"),
        (["segment", "SCAN", "--out", "o", "--engine", "abacus"], "unknown engine 'abacus'; known"),
        (["run", "SCAN", "--out", "o", "--precision", "fp8"], "unknown precision 'fp8'; known"),
        (["run", "SCAN", "--out", "o", "--format", "xlsx"], "unknown --format 'xlsx'; known"),
        (["extract", "SCAN", "--out", "o", "--names", "short"], "unknown --names 'short'; known"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    phantom: Phantom,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scan(phantom.image, tmp_path / "scan.nii.gz")
    filled = [str(tmp_path / "scan.nii.gz") if a == "SCAN" else a for a in arguments]
    code, out, err = call(*filled)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_extract_reports_each_case_and_exits_1_when_one_is_unusable(
    tmp_path: Path, phantom: Phantom
) -> None:
    write_scan(phantom.image, tmp_path / "a.nii.gz")
    write_scan(phantom.image + 1, tmp_path / "b.nii.gz")
    write_scan(phantom.mask, tmp_path / "m.nii.gz")
    (tmp_path / "cohort.csv").write_text(
        "patient_id,image,mask,mask_label\nA,a.nii.gz,m.nii.gz,\nB,b.nii.gz,m.nii.gz,5\n"
    )
    options = ["--out", tmp_path / "o", "--config", "pyradiomics_default"]
    code, out, err = call("extract", tmp_path / "cohort.csv", *options)
    assert code == 1
    assert re.search(r"^\[\d/2\] A: pass, \d+\.\d mL$", out, re.M)
    assert "2 rows in" in out
    assert "1 usable; 1 not usable" in out
    assert err == "[2/2] B: fail (no_label): the mask has no label 5; it has 1\n"
    code, out, _ = call("extract", tmp_path / "cohort.csv", *options, "--quiet")
    assert (code, out) == (1, "")
    frame = pd.read_csv(tmp_path / "o" / "features.csv")
    assert frame["qc_status"].tolist() == ["pass", "fail"]


def test_one_scan_under_two_ids_is_told_at_the_end(tmp_path: Path, phantom: Phantom) -> None:
    for folder in ("ct", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("A", "B"):
        write_scan(phantom.image, tmp_path / "ct" / f"{name}.nii.gz")
        write_scan(phantom.mask, tmp_path / "masks" / f"{name}.nii.gz")
    options = ["--masks", tmp_path / "masks", "--config", "pyradiomics_default", "--quiet"]
    code, out, err = call("extract", tmp_path / "ct", "--out", tmp_path / "o", *options)
    assert (code, out) == (0, "")
    assert err == "A: warn (duplicate): its scan has the same voxels as that of B\n"  # told once


def test_many_duplicates_do_not_fill_the_screen(tmp_path: Path, block: sitk.Image) -> None:
    write_scan(block, tmp_path / "a.nii")
    rows = "".join(f"P{number:02},a.nii\n" for number in range(30))
    for number in range(25):
        write_scan(block + number + 1, tmp_path / f"{number}.nii")
        rows += f"A{number:02},{number}.nii\nB{number:02},{number}.nii\n"
    (tmp_path / "m.csv").write_text("patient_id,image\n" + rows)
    _, _, err = call("check", tmp_path / "m.csv", "--quiet")
    assert "P00: fail (duplicate): its scan has the same voxels as" in err
    assert "the same voxels as that of P01, P02, P03 and 26 more\n" in err
    assert err.endswith("and 6 more groups of duplicates; see column qc_reasons\n")
    assert err.count("same voxels") == 20


def test_extract_writes_the_table_as_the_options_say(tmp_path: Path, phantom: Phantom) -> None:
    write_scan(phantom.image, tmp_path / "a.nii.gz")
    write_scan(phantom.mask, tmp_path / "m.nii.gz")
    options = ["--masks", tmp_path / "m.nii.gz", "--config", "pyradiomics_default", "--quiet"]
    style = ["--names", "pyradiomics", "--excel", "--decimal-comma"]
    code, _, _ = call("extract", tmp_path / "a.nii.gz", "--out", tmp_path / "o", *options, *style)
    content = (tmp_path / "o" / "features.csv").read_text(encoding="utf-8")
    assert code == 0
    assert content.startswith("\ufeffpatient_id;scan_id;roi;")
    record = json.loads((tmp_path / "o" / "provenance.json").read_text(encoding="utf-8"))
    asked = {"command": "extract", "settings": "pyradiomics_default"}
    style_asked = {"names": "pyradiomics", "excel": True, "decimal_comma": True}
    assert record["run"] == asked | style_asked


def test_an_id_that_a_spreadsheet_would_compute_stops_the_run_before_it_begins(
    tmp_path: Path, phantom: Phantom
) -> None:
    write_scan(phantom.image, tmp_path / "=1+1.nii.gz")
    code, out, err = call("extract", tmp_path, "--out", tmp_path / "o")
    assert (code, out) == (2, "")
    assert err == (
        "pancseg: cohort: the name '=1+1' begins like a formula, which spreadsheet programs would "
        "run (it must not begin with = + @, or with - and more than digits); rename it, or write a "
        "manifest\n"
    )
    assert not (tmp_path / "o").exists()


def test_an_output_that_cannot_be_written_is_one_line_and_exit_2(
    tmp_path: Path, phantom: Phantom
) -> None:
    write_scan(phantom.image, tmp_path / "a.nii.gz")
    write_scan(phantom.mask, tmp_path / "m.nii.gz")
    (tmp_path / "file").write_text("in the way")
    code, _, err = call(
        "extract", tmp_path / "a.nii.gz", "--masks", tmp_path / "m.nii.gz",
        "--out", tmp_path / "file" / "o", "--config", "pyradiomics_default",
    )  # fmt: skip
    assert code == 2
    assert err.startswith("pancseg: the output cannot be written")


def test_demo_shows_the_table_and_finds_the_pancreas(tmp_path: Path) -> None:
    code, out, err = call("demo", "--out", tmp_path / "demo", "--patients", "2", "--threads", "2")
    assert (code, err) == (0, "")
    said = "settings: pancreas_ct, mode ibsi; weights: monet_phantom; engine: "
    assert re.match(said + r"(openvino|torch|cuda), fp32\n", out)
    scores = [float(s) for s in re.findall(r"phantom_\d\d (\d\.\d\d)", out)]
    assert len(scores) == 2
    assert min(scores) >= 0.80
    frame = pd.read_csv(tmp_path / "demo" / "features.csv")
    assert frame["patient_id"].tolist() == ["phantom_01", "phantom_02"]
    assert frame.shape == (2, 28 + 386)
    assert call("demo", "--out", tmp_path)[0] == 2  # somebody else's files are there
