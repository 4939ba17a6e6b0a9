"""The registry of reasons: every code that the source uses, no other; README has its table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from conftest import ROOT

from pancseg.cli.reasons import markdown
from pancseg.reasons import REASONS

OF_THE_RUN = {"crashed", "killed", "timeout"}
"""Codes of what happens to a worker process (``running/executors/supervisor.py``)."""

CALLS = {"UnusableCase", "Finding", "_compared", "_found", "row.note", "draft.note", "noted"}
"""Calls whose first argument is a code; a ``note(…)`` on its own is a sentence for the terminal."""


def constants(node: ast.expr) -> Iterator[str]:
    """Yield a string, or both of ``"a" if … else "b"``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from constants(node.body)
        yield from constants(node.orelse)


def codes_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if CALLS & {name, name.rpartition(".")[2]} and node.args:
                yield from constants(node.args[0])
            if name.endswith("of_one_reason") and len(node.args) > 2:
                yield from constants(node.args[2])
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Subscript) and getattr(target.value, "id", "") == "reasons":
                yield from constants(target.slice)
            elif getattr(target, "id", "") == "_REFUSALS":
                values = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
                for value in values:
                    yield from constants(value)
        elif isinstance(node, ast.Dict) and len(node.keys) == 1 and node.keys[0]:
            is_fact = isinstance(node.values[0], ast.JoinedStr)  # {code: f"fact"}
            yield from constants(node.keys[0]) if is_fact else ()


def used() -> set[str]:
    """Return the codes in the source; those of ``pancseg evaluate`` stand in its own tables."""
    found: set[str] = set()
    for path in (ROOT / "pancseg").rglob("*.py"):
        if "evaluation" not in path.parts:
            found |= set(codes_in(ast.parse(path.read_text(encoding="utf-8"))))
    return found


def test_every_code_is_registered_and_used() -> None:
    assert used() | OF_THE_RUN == set(REASONS)


def test_codes_are_found(tmp_path: Path) -> None:
    text = (
        'raise UnusableCase("a" if x else "b", f"{x}")\nreasons["c"] = "x"\nrow.note("d", "warn")'
    )
    assert set(codes_in(ast.parse(text))) == {"a", "b", "c", "d"}


def test_the_readme_has_the_table() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"## What happens when something goes wrong\n\n{markdown()}\n" in text


def test_cells_are_short_and_plain() -> None:
    for code, reason in REASONS.items():
        assert code.isidentifier()
        assert reason.status in ("warn", "fail", "warn or fail", "error")
        assert all("|" not in cell and "\n" not in cell for cell in reason)
        assert len(reason.happened) + len(reason.remedy) <= 130
