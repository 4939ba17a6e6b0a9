"""All settings files are read by the same rules."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pancseg import load_feature_settings
from pancseg.cli.options import Privacy, Resuming
from pancseg.cli.run_options import options_of
from pancseg.system.yaml_file import FrozenModel, read_yaml_mapping, settings_of
from pancseg.training.data.slice_set import load_slice_set
from pancseg.training.recipe import load_recipe

READERS: dict[str, Callable[[Path], object]] = {
    "feature settings": load_feature_settings,
    "recipe": lambda path: load_recipe(str(path)),
    "slice set": lambda path: load_slice_set(str(path)),
    "run settings": lambda path: options_of(Resuming(slurm=path), Privacy(), verbose=False),
}


def doubled(mapping: str) -> str:
    """Return nine lines, each of which repeats the one before nine times."""
    lines = ["a: &a {x: 1}"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} " + mapping.format(",".join([f"*{before}"] * 9)))
    return "\n".join(lines)


REFUSED = [
    ("epochs: 42\nepochs: 3\n", "'epochs' is given twice, again on line 2"),
    ("a:\n  - {b: 1, c: 2, b: 1}\n", "'b' is given twice, again on line 2"),
    ("a: [\n", "is not YAML"),
    ("- 1\n", "holds no settings"),
    ("", "holds no settings"),
    ("1: 2\n", "the key 1 is not text"),
    ("a: \xff\n", "is not YAML"),
    ("[" * 5000, "line 1 is nested more than 32 levels deep"),
    ("{a: " * 5000, "nested more than 32"),
    ("\n".join(" " * i + "a:" for i in range(1000)), "line 32 is nested more than 32"),
    ("- " * 5000 + "x", "nested more than 32"),
    (doubled("[{}]"), "more than 100,000 values, counting repeated ones"),
    (doubled("{{<<: [{}]}}"), "more than 100,000 values"),
    ("a: &a [*a]", "the alias on line 1 is part of what it repeats"),
    ("a: &a {<<: *a}", "part of what it repeats"),
    ("a: " + "x" * 1_000_000, r"a text of 1,000,000 characters \(at most 10,000\)"),
    ("a: |\n " + "x" * 1_000_000, "a text of 1,000,000 characters"),
    ("#" * (1 << 21), "larger than 1 MiB"),
    ("a: " + "1" * 5000, "is not a whole number of at most 100 characters"),
    ("a: 0x" + "f" * 5000, "is not a whole number of at most 100"),
    ("a: *" + "b" * 5000, "undefined alias"),
    ("a: !" + "t" * 5000 + " x", "line 1 has the tag '!ttt"),
    ("a: !!python/object/apply:os.system ['x']", "has the tag '!!python/object/apply:os.sys"),
    ("a: !!set {b}", "has the tag '!!set'; leave it out"),
    ("a: !!timestamp b", "has the tag"),
    ("a: !!int b", "'b' on line 1 is not a whole number"),
    ("a: !!bool b", "'b' on line 1 is not true or false"),
    ("a: !!float b", "'b' on line 1 is not a number"),
    ("a: !!map [1]", "is not YAML: line 1"),
    ("? [a]\n: 1", "is not YAML: line 1: found unhashable key"),
    ("a: \0", "is not YAML: special characters"),
    ("? " + "k" * 9000 + "\n: 1\n" + "? " + "k" * 9000 + "\n: 1\n", "is given twice"),
]
"""Texts, and what is said of them; all in Latin-1."""


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("text", "problem"), REFUSED, ids=range(len(REFUSED)))
def test_every_reader_refuses_the_same_mistakes_in_one_line(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=problem) as refused:
        READERS[name](path)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("04:00:00", "04:00:00"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1_000", 1000),
        ("-7", -7),
        ("1.", 1.0),
        ("-.inf", -math.inf),
        ("1_0.5e+1", 105.0),
        ("=", "="),
        ("yes", True),
        ("OFF", False),
        ("y", "y"),
        ("~", None),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
        ("1e1x", "1e1x"),
        ("1" * 5000 + "e", "1" * 5000 + "e"),
    ],
    ids=range(21),
)
def test_values_are_those_of_yaml_1_2(text: str, value: object, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"a: {text}\n")
    found = read_yaml_mapping(tmp_path / "mine.yaml", "it")["a"]
    assert (found, type(found)) == (value, type(value))


def test_a_byte_order_mark_comments_and_aliases_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("\ufeff# ours\na: &x {b: 1}\nc: [*x, *x]\n", "utf-8")
    assert read_yaml_mapping(tmp_path / "mine.yaml", "it")["c"] == [{"b": 1}, {"b": 1}]


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.yaml")
    with pytest.raises(ValueError, match=r"it cannot be read: .* pipe"):
        read_yaml_mapping(tmp_path / "mine.yaml", "it")


class _Sizes(FrozenModel):
    size: int


@pytest.mark.parametrize("content", [{f"k{i}": 1 for i in range(9000)}, {"k" * 9000: "v" * 9000}])
def test_many_unknown_keys_and_long_ones_fit_into_a_line(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="size: Field required; k") as refused:
        settings_of(_Sizes, content, "it")
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("text", ["1e-6", "1E-6", "+1.0e-6", ".1e-5", "0.000001"])
def test_numbers_are_those_of_yaml_1_2(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"rate: {text}\n")
    assert read_yaml_mapping(tmp_path / "mine.yaml", "it") == {"rate": pytest.approx(1e-6)}


@pytest.mark.parametrize("name", ["feature settings", "recipe", "slice set"])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    kind = "preset" if name == "feature settings" else name
    known = f"no such {kind} or file; .* one of the {kind}s [a-z]"
    with pytest.raises(FileNotFoundError, match=known):
        READERS[name](Path("nope"))


@pytest.mark.parametrize("content", ["quality:", "quality: {volume_ml: [25, 150]}"])
def test_a_value_where_a_mapping_belongs_is_told_so(content: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"pancseg:\n  {content}\n")
    with pytest.raises(ValueError, match=r"it holds no settings \(expected 'key: value' lines"):
        load_feature_settings(tmp_path / "mine.yaml")
