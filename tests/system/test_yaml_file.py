"""All settings files are read by the same rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pancseg import load_feature_settings
from pancseg.cli.options import Privacy, Resuming
from pancseg.cli.run_options import options_of
from pancseg.system.yaml_file import read_yaml_mapping
from pancseg.training.data.slice_set import load_slice_set
from pancseg.training.recipe import load_recipe

READERS: dict[str, Callable[[Path], object]] = {
    "feature settings": load_feature_settings,
    "recipe": lambda path: load_recipe(str(path)),
    "slice set": lambda path: load_slice_set(str(path)),
    "run settings": lambda path: options_of(Resuming(slurm=path), Privacy(), verbose=False),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("epochs: 42\nepochs: 3\n", "'epochs' is given twice, again on line 2"),
        ("a:\n  - {b: 1, c: 2, b: 1}\n", "'b' is given twice, again on line 2"),
        ("a: [\n", "is not YAML"),
        ("- 1\n", "holds no settings"),
        ("", "holds no settings"),
        ("1: 2\n", "the key 1 is not text"),
        ("a: \xff\n", "is not YAML"),
    ],
)
def test_every_reader_refuses_the_same_mistakes_in_one_line(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=problem) as refused:
        READERS[name](path)
    assert "\n" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


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
