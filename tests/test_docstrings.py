"""Every example in a docstring is run, in a folder with the files that users have."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import pancseg

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(pancseg.__path__, "pancseg.")
    if not module.name.endswith("__main__")
)


def test_there_are_modules_with_examples() -> None:
    assert len(MODULES) > 200


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, example_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(example_folder)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    for found in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(found, out=said.append)
    assert not said, "".join(said)
