"""The README's code and the examples run; Markdown is readable in a diff, and its links resolve."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT

import pancseg
from pancseg import read_scan, write_scan
from pancseg.phantom import Phantom


def test_readme_block_runs(
    tmp_path: Path,
    phantom: Phantom,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Eight lines, as printed; only the weights are the phantom's, since the scan is one."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert len([line for line in block.splitlines() if line.strip()]) <= 8
    monkeypatch.chdir(tmp_path)
    write_scan(phantom.image, "scan.nii.gz")
    phantoms = partial(pancseg.load_segmenter, "monet_phantom", threads=2)
    monkeypatch.setattr(pancseg, "load_segmenter", phantoms)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out == "pass 412 values\n"
    assert read_scan("pancreas.nii.gz").GetSize() == phantom.image.GetSize()


def test_example_runs(
    tmp_path: Path,
    phantom: Phantom,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scan(phantom.image, "scan.nii.gz")
    script = ROOT / "examples" / "segment_and_measure.py"
    monkeypatch.setattr(sys, "argv", [str(script), "scan.nii.gz", "monet_phantom"])
    runpy.run_path(str(script))
    assert "original_shape_MeshVolume" in capsys.readouterr().out


def test_walkthrough_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace = runpy.run_path(str(ROOT / "examples" / "cohort_walkthrough.py"))
    assert namespace["usable"]["patient_id"].tolist() == ["phantom_01", "phantom_02"]
    assert "phantom_02" in capsys.readouterr().out


def test_every_example_is_listed() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "examples").glob("*.py"):
        assert f"`{path.name}`" in text


SKIPPED = {".venv", "venv", "node_modules", "build", "dist", "shared", "pancseg-demo"}
MARKDOWN = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part in SKIPPED or part.startswith(".") for part in path.relative_to(ROOT).parts)
)
LONGEST_LINE = 120
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _outside_code(text: str) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a Markdown text that are not in a code block."""
    in_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code:
            yield number, line


def _too_long(text: str) -> list[int]:
    """Return the numbers of long lines, but for rows of tables and lines that are one link."""
    return [
        number
        for number, line in _outside_code(text)
        if len(line) > LONGEST_LINE
        and not line.startswith("|")
        and not re.fullmatch(r"\s*(?:[*-] )?\S*(?:https?:|\]\()\S+", line)
    ]


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a text's headings."""
    titles = [line.lstrip("#").strip() for _, line in _outside_code(text) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _broken_links(path: Path) -> list[str]:
    """Return the relative links of a Markdown file that lead to no file or no heading."""
    broken = []
    prose = "\n".join(line for _, line in _outside_code(path.read_text("utf-8")))
    for link in _LINK.findall(prose):
        if re.match(r"https?:|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in _anchors(target.read_text("utf-8"))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_markdown_lines_are_short(path: Path) -> None:
    assert _too_long(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_markdown_links_resolve(path: Path) -> None:
    assert _broken_links(path) == []


def test_long_lines_and_broken_links_are_found(tmp_path: Path) -> None:
    long = "word " * 30
    link = "https://example.org/" + "x" * 120
    text = f"# Title: one\n{long}\n| {long} |\n```\n{long}\n```\n{link}\n* {link}\n{long} {link}\n"
    assert _too_long(text) == [2, 9]
    page = tmp_path / "page.md"
    page.write_text(text + "[a](#title-one) [b](#title-two) [c](other.md) [d](page.md#title-one)\n")
    assert _broken_links(page) == ["#title-two", "other.md"]


def test_every_promise_of_security_names_tests_that_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", text)
    assert len(named) > 15
    files = {name: (ROOT / name).read_text("utf-8") for name, _ in named if (ROOT / name).is_file()}
    missing = [f"{n}::{t}" for n, t in named if f"def {t}(" not in files.get(n, "")]
    assert missing == []
