"""Every regular expression of the package takes time in proportion to its text, whatever that is.

Each is run on texts that make a backtracking engine try again and again: a beginning that leads
into one of its repetitions, thousands of repeated characters, and an end that cannot match. The
time is compared with that of a plain loop over the same text, taken right after it, so that the
speed of the machine cancels out. A quadratic expression takes hundreds of times as long, an
exponential one for ever.
"""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from re import _constants as opcodes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "pancseg"
LENGTHS = (*(round(12 * 1.33**step) for step in range(11)), 1000, 10_000)
"""Characters of the texts: in small steps at first, as an exponential expression doubles its time
with one or a few characters more."""
FREE_S, LEAST_S = 0.02, 1e-8
"""What is free on any text, and the least time of a plain loop per character: some clocks tick."""
MOST_LOOPS = 40.0
"""Most work of a linear expression, in plain loops over the text."""
ALPHABET = " \t\n0aA_.,:;-+=/\\\"'()[]{}<>*#é\0"
METHODS = ("fullmatch", "match", "search", "sub", "split", "findall", "finditer")
REPEATS = (opcodes.MAX_REPEAT, opcodes.MIN_REPEAT, opcodes.POSSESSIVE_REPEAT)


class Use(NamedTuple):
    """A pattern, where it stands, and whether it is tried from every position of a text."""

    where: str
    pattern: re.Pattern[Any]
    everywhere: bool


def uses() -> Iterator[Use]:
    """Yield the patterns in functions, and those that the modules have compiled."""
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not re.search(r"^import re$", source, re.M):
            continue
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        module = importlib.import_module(name.removesuffix(".__init__"))
        for variable, pattern in compiled_in(vars(module)):
            called = re.findall(rf"\b{variable}\.(\w+)", source)  # or else whatever is called
            called = called or re.findall(r"\.(\w+)\(", source)
            everywhere = bool({*called} & {*METHODS[2:]})
            yield Use(f"{name}.{variable}", pattern, everywhere)
        for call in calls_in(ast.parse(source)):
            pattern = re.compile(text_of(call))
            yield Use(f"{name}:{call.lineno}", pattern, method_of(call) in METHODS[2:])


def compiled_in(variables: dict[str, Any]) -> Iterator[tuple[str, re.Pattern[Any]]]:
    for name, value in variables.items():
        held = value if isinstance(value, list | tuple) else [value]
        for one in held:
            for part in one if isinstance(one, tuple) else [one]:
                if isinstance(part, re.Pattern):
                    yield name, part


def calls_in(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls of ``re``'s functions with a pattern that is written there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and method_of(node) in METHODS:
            yield node


def method_of(call: ast.Call) -> str:
    """Return the function of ``re`` that is called with a written pattern; else nothing."""
    function, arguments = call.func, call.args
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
        return ""
    written = arguments and isinstance(arguments[0], ast.Constant | ast.JoinedStr)
    return function.attr if function.value.id == "re" and written else ""


def text_of(call: ast.Call) -> Any:
    """Return the pattern of a call, with an x for each value that is put into it."""
    written = call.args[0]
    if isinstance(written, ast.Constant):
        return written.value
    assert isinstance(written, ast.JoinedStr)
    return "".join(str(p.value) if isinstance(p, ast.Constant) else "x" for p in written.values)


def shortest(tree: Any, begins: set[str], prefix: str = "") -> str:
    """Return a short text that a pattern may match; collect what leads into its repetitions.

    Args:
        tree: the parsed pattern.
        begins: gets the texts before a repetition, and those followed by one round of it.
        prefix: text before this part of the pattern.
    """
    text = ""
    for code, value in tree:
        if code is opcodes.LITERAL:
            text += chr(value)
        elif code in (opcodes.NOT_LITERAL, opcodes.ANY):
            text += "\1"
        elif code is opcodes.IN:
            text += member(value)
        elif code is opcodes.BRANCH:
            texts = [shortest(branch, begins, prefix + text) for branch in value[1]]
            text += texts[0]
        elif code is opcodes.SUBPATTERN:
            text += shortest(value[-1], begins, prefix + text)
        elif code in (opcodes.ATOMIC_GROUP,):
            text += shortest(value, begins, prefix + text)
        elif code in REPEATS:
            begins.add(prefix + text)
            one = shortest(value[2], begins, prefix + text)
            begins.add(prefix + text + one)
            text += one * min(value[0], 9)
    return text


def member(items: Any) -> str:
    """Return a character of a class."""
    for code, value in items:
        if code is opcodes.LITERAL:
            return chr(value)
        if code is opcodes.RANGE:
            return chr(value[0])
        if code is opcodes.CATEGORY:
            name = str(value)
            return " " if name.endswith("SPACE") and "NOT" not in name else "0"
    return "\1"


def attacks(pattern: re.Pattern[Any], length: int) -> Iterator[str]:
    begins = {""}
    source = str(pattern.pattern)
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    shortest(tree, begins)
    letters = sorted(set(ALPHABET) | {c for c in source if c.isalnum()})
    rounds = sorted(begins, key=len)
    for begin in rounds[:20]:
        for pump in [*letters, *(r for r in rounds[:20] if 1 < len(r) < 30)]:
            yield begin + pump * (length // len(pump)) + "\2"


def loops(use: Use, text: str) -> float:
    """Return the work on a text, in plain loops: the least of three tries, or one if it is small.

    Time is this thread's own, so that other processes do not count. Twenty milliseconds are
    free: a call costs more than its text where that is short, and some clocks only tick.
    """
    binary = isinstance(use.pattern.pattern, bytes)
    subject: Any = text.encode("latin-1", "replace") if binary else text
    least = float("inf")
    for _ in range(3):
        begin = time.thread_time()
        if use.everywhere:
            use.pattern.sub(lambda found: found[0], subject)
        else:
            use.pattern.fullmatch(subject)
        spent, begin = time.thread_time() - begin, time.thread_time()
        assert sum(1 for _ in subject) == len(subject)
        plain = max(time.thread_time() - begin, LEAST_S * len(subject))
        least = min(least, (spent - FREE_S) / plain)
        if least <= MOST_LOOPS:
            break
    return least


def slowest(use: Use) -> tuple[float, str]:
    """Return the loops of the first text that takes too many, and its begin; or 0.

    Texts become longer step by step, so that the first one that is too slow still ends.
    """
    for length in LENGTHS:
        for text in attacks(use.pattern, length):
            spent = loops(use, text)
            if spent > MOST_LOOPS:
                return spent, repr(text[:30])
    return 0.0, ""


def test_every_pattern_of_the_package_is_linear() -> None:
    found = list(uses())
    assert len(found) > 40
    slow = {use.where: slowest(use) for use in found}
    assert {where: why for where, why in slow.items() if why[0]} == {}


@pytest.mark.parametrize(
    ("text", "everywhere"),
    [
        (r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", False),
        (r"0*(\d+)(\.0+)?", False),
        (r"\d+$", True),
        (r"head\s*:\s*\s*x", False),
        (r"(a|aa)+b", False),
        (r"x\w*(,\s*\w*)*\s*;", False),
    ],
)
def test_a_quadratic_or_exponential_pattern_is_found(text: str, everywhere: bool) -> None:
    assert slowest(Use("", re.compile(text), everywhere))[0] > MOST_LOOPS


@pytest.mark.parametrize("text", [r"(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", r"[a-z]+(-[a-z]+)*"])
def test_a_linear_pattern_is_not(text: str) -> None:
    assert slowest(Use("", re.compile(text), everywhere=False)) == (0.0, "")
