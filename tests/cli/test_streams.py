"""What becomes of standard output changes no result; every problem is told once and briefly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import call

COMMAND = [sys.executable, "-m", "pancseg"]
needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


def extract(cohort: Path, out: Path, end: str) -> subprocess.CompletedProcess[str]:
    """Run in a shell, with its standard output going where ``end`` says."""
    words = ["extract", str(cohort), "--out", str(out), "--workers", "0"]
    words += ["--config", str(cohort.parent / "quick.yaml")]
    script = f'set -o pipefail; "$@" {end}'
    return subprocess.run(
        ["bash", "-c", script, "bash", *COMMAND, *words],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def manifest(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = cohort.with_name("two.csv")
    rows = [f"{name},scans/{name}.nii.gz,scans/{name}_mask.nii.gz" for name in "ab"]
    path.write_text("\n".join(["patient_id,image,mask", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def undisturbed(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("streams") / "out"
    assert extract(manifest, out, "").returncode == 0
    return (out / "features.csv").read_bytes()


@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        pytest.param(
            "> /dev/full",
            2,
            "pancseg: standard output cannot be written: No space left on device\n",
            marks=needs_dev_full,
        ),
        ("| head -n 1", 0, ""),
        ("| true", 0, ""),
        (">&-", 0, ""),
        pytest.param("2> /dev/full", 0, "", marks=needs_dev_full),
    ],
)
def test_results_are_whole_wherever_the_lines_go(
    end: str, code: int, told: str, manifest: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    done = extract(manifest, tmp_path / "out", end)
    assert (done.returncode, done.stderr) == (code, told)
    assert (tmp_path / "out" / "features.csv").read_bytes() == undisturbed


@needs_dev_full
@pytest.mark.parametrize("words", [["--version"], ["run", "--help"], ["--help"]])
def test_help_that_cannot_be_printed_is_one_line(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "pancseg: standard output cannot be written: No space left on device\n"


def test_what_somebody_has_typed_is_cut_in_messages(tmp_path: Path) -> None:
    manifest = tmp_path / "cohort.csv"
    long = "x" * 5000
    manifest.write_text(f"patient_id,image,mask_label\n{long},a.nii.gz,{long}\n")
    code, out, err = call("extract", manifest, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert max(map(len, err.splitlines())) < 400
    assert "its ids have 5000 bytes together (at most 200); shorten them" in err
    for words in (["--roi", long], ["--roi", f"{long}=1"], ["--roi", f"a={long}"]):
        code, out, err = call("extract", manifest, "--out", tmp_path / "out", *words)
        assert code == 2
        assert max(map(len, err.splitlines())) < 400
    code, _, err = call("evaluate", "--prediction", long, "--reference", tmp_path, "--out", long)
    assert code == 2
    assert max(map(len, err.splitlines())) < 1100


def test_paths_and_names_of_files_are_not_printed(example_folder: Path, tmp_path: Path) -> None:
    """A folder may be named after a patient or a user."""
    secret = tmp_path / "John_Doe"
    secret.mkdir()
    for name in ("weights.safetensors", "recipe.yaml", "slices.yaml"):
        (secret / f"Doe_{name}").write_text("{")
    outputs = ["--out", secret / "out"]
    scans = example_folder / "cohort.csv"
    for words in (
        ["run", scans, "--weights", secret / "Doe_weights.safetensors", "--workers", "0"],
        ["run", scans, "--weights", secret / "Doe_missing.safetensors", "--workers", "0"],
        ["train", secret / "Doe_recipe.yaml", "--data", scans],
        ["weights", "masks", "monet_phantom", "--slices", secret / "Doe_slices.yaml",
         "--data", secret],
    ):  # fmt: skip
        code, out, err = call(*words, *outputs)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert "Doe" not in err, err
    masks, references = example_folder / "masks", example_folder / "references"
    words = ["evaluate", "--prediction", f"A={masks}", "--reference", references, *outputs]
    code, out, err = call(*words)
    assert code == 0
    assert out.splitlines()[-1].endswith("report in evaluation.md")
    assert "Doe" not in out + err
