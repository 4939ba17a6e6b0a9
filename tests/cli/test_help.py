"""What a person reads of a command: groups of options, an example that would run, where to read."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from conftest import ROOT

from pancseg.cli import app

PANELS = ["Input", "Regions", "Network", "Features", "Model", "Output", "Running", "Privacy"]


def commands(group: typer.core.TyperGroup, before: str = "") -> dict[str, typer.core.TyperCommand]:
    found = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found |= commands(command, f"{before}{name} ") if inner else {f"{before}{name}": command}
    return found


COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize("name", COMMANDS)
def test_options_stand_in_groups_in_one_order(name: str) -> None:
    panels = [
        getattr(parameter, "rich_help_panel", None)
        for parameter in COMMANDS[name].params
        if parameter.param_type_name == "option" and parameter.name != "help"
    ]
    assert panels == sorted(panels, key=PANELS.index)


def test_words_that_may_be_repeated_are_written_once() -> None:
    for name, command in COMMANDS.items():
        context = command.make_context(name, [], resilient_parsing=True)
        usage = command.get_usage(context)
        assert "…" not in usage, usage
        metavars = re.findall(r"\{(.+?)\}", usage)
        assert [each.upper() for each in metavars] == metavars


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_is_a_command_and_the_page_is_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words are understood; it is not run."""
    monkeypatch.chdir(tmp_path)
    command = COMMANDS[name]
    line, page = re.fullmatch(r"Example: (.+)\n\nMore: (.+)", command.epilog or "").groups()
    program, *words = shlex.split(line)
    assert (program, words[: len(name.split())]) == ("pancseg", name.split())
    command.make_context(name, words[len(name.split()) :])
    path, _, anchor = page.partition("#")
    text = (ROOT / path).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings}
    assert anchor in anchors


def test_a_command_whose_words_are_wrong_is_no_example() -> None:
    with pytest.raises(Exception, match="No such option"):
        COMMANDS["run"].make_context("run", ["cohort.csv", "--out", "o", "--colour", "red"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_and_completes(shell: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HOME": str(tmp_path),  # conftest.py takes what else would lead out of it
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    start = [sys.executable, "-c", "from pancseg.cli import app; app(prog_name='pancseg')"]
    done = subprocess.run(
        [*start, "--install-completion", shell], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert any("PANCSEG_COMPLETE" in p.read_text() for p in tmp_path.rglob("*") if p.is_file())
    asked = {
        "bash": {"COMP_WORDS": "pancseg run --pseu", "COMP_CWORD": "2"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "pancseg run --pseu"},
        "fish": {
            "_TYPER_COMPLETE_ARGS": "pancseg run --pseu",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        },
    }[shell]
    found = subprocess.run(
        start,
        env={**environment, "_PANCSEG_COMPLETE": f"complete_{shell}", **asked},
        capture_output=True,
        text=True,
    )
    assert "--pseudonymise" in found.stdout
