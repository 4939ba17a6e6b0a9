"""The library speaks of parameters, the command line of options: one table between them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from command_line import call
from conftest import ROOT

from pancseg.cli import app
from pancseg.cli.parameters import OPTIONS, with_options, words

LIBRARY = [
    path
    for path in sorted((ROOT / "pancseg").rglob("*.py"))
    if (ROOT / "pancseg" / "cli") not in path.parents
]
OPTION = re.compile(r"(?<!\w)--[a-z]|exit code|\bargv\b", re.IGNORECASE)


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield strings, docstrings, comments and names of a module, each with its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (tokenize.OP, tokenize.NEWLINE, tokenize.INDENT):
            yield token.start[0], token.string


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_text_outside_cli_names_an_option(path: Path) -> None:
    found = [
        (line, text)
        for line, text in texts(path.read_text(encoding="utf-8"))
        if OPTION.search(text)
    ]
    assert not found


@pytest.mark.parametrize(
    "source",
    ['f"{x}: use --label"', "'''a\n--out'''", "pass  # see --masks", "sys.argv", '"exit code 2"'],
)
def test_an_option_is_found(source: str) -> None:
    assert any(OPTION.search(text) for _, text in texts(source + "\n"))


def parameters(path: Path) -> Iterator[str]:
    """Yield the parameters of a module's functions and the fields of its classes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_every_parameter_of_the_table_is_one_of_the_library() -> None:
    assert set(OPTIONS) <= {name for path in LIBRARY for name in parameters(path)}


def options_of(command: typer.core.TyperCommand | typer.core.TyperGroup) -> set[str]:
    inner = getattr(command, "commands", {}).values()
    own = {option for parameter in command.params for option in parameter.opts}
    return own.union(*map(options_of, inner))


def test_every_option_of_the_table_is_one_of_the_command_line() -> None:
    assert set(OPTIONS.values()) <= options_of(typer.main.get_command(app))


def test_other_words_in_backticks_stay() -> None:
    assert with_options("`out`, `fill`, out") == "--out, `fill`, out"
    assert with_options("in `check`: `folds`", shown="<{}>") == "in `check`: <--folds>"


def test_parameters_become_words() -> None:
    assert words({"timeout_s": 5, "excel": True, "keep_failed": False}) == [
        *("--timeout", "5"),
        "--excel",
    ]


def test_a_message_of_the_library_is_printed_with_options(tmp_path: Path) -> None:
    (tmp_path / "o" / ".pancseg").mkdir(parents=True)
    words = ["extract", "gone", "--format", "xlsx", "--out", tmp_path / "o"]
    (tmp_path / "scan.nii").write_bytes(b"")
    code, _, err = call(*["extract", tmp_path, *words[2:]])
    assert code == 2
    assert "unknown --format 'xlsx'; known" in err
    assert "`" not in err
