"""Read settings from YAML files, all by the same rules and with one-line errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pancseg.system.regular_files import read_regular
from pancseg.system.text.excerpt import excerpt
from pancseg.system.text.yaml_loader import LONGEST_BYTES, YamlRefused, load_yaml

_MOST_PROBLEMS = 5
Settings = TypeVar("Settings", bound=BaseModel)


class FrozenModel(BaseModel):
    """A pydantic model that is immutable and refuses unknown keys.

    Example:
        >>> class Recipe(FrozenModel):
        ...     epochs: int
        >>> Recipe(epochs=3).epochs
        3
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def read_yaml_mapping(path: Path, what: str) -> dict[str, Any]:
    """Return the settings of a YAML (or JSON) file.

    Numbers and text are those of YAML 1.2, as in pyradiomics: ``1e1`` is a number, ``04:00:00`` is
    text. A mapping must not have the same key twice, at any depth. Files larger than 1 MiB, texts
    of more than 10,000 characters, more than 32 levels, and tags are refused
    (:mod:`pancseg.system.text.yaml_loader`).

    Args:
        path: the file.
        what: name of the file in messages. Its path is not shown: it may name a patient.

    Raises:
        ValueError: the file cannot be read, is not YAML or beyond these limits, has a key twice,
            is not a mapping, or has a key that is not text. The message is one short line.
    """
    try:
        content = read_regular(path, LONGEST_BYTES)
    except OSError as error:
        raise ValueError(f"{what} cannot be read: {error.strerror}") from error
    try:
        found = load_yaml(content.decode("utf-8-sig"))
    except YamlRefused as error:
        raise ValueError(f"{what}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{what} is not YAML: {_problem(error)}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{what} holds no settings (expected 'key: value' lines)")
    if others := [key for key in found if not isinstance(key, str)]:
        raise ValueError(
            f"{what}: the key {excerpt(repr(others[0]))} is not text; put it in quotes"
        )
    return found


def _problem(error: Exception) -> str:
    """Return what is wrong with a text that is not YAML, in one short line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {excerpt(error.problem, 100)}"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return excerpt(getattr(error, "reason", error), 100)


def settings_of(
    kind: type[Settings], content: object, what: str, under: Sequence[str] = ()
) -> Settings:
    """Return a settings object made from the content of a file.

    Args:
        kind: class of the settings.
        content: key → value.
        what: name of the file in messages.
        under: keys of the file that lead to ``content``, if it is not the whole file.

    Raises:
        ValueError: a key is unknown or has an invalid value. One line names the first such keys.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = [
            f"{excerpt('.'.join(map(str, (*under, *each['loc'])))) or 'the file'}: "
            + _expected(each)
            for each in error.errors()
        ]
        more = len(problems) - _MOST_PROBLEMS
        shown = problems[:_MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise ValueError(f"{what}: {'; '.join(shown)}") from error


def _expected(error: ErrorDetails) -> str:
    """Return what is wrong with a value, without the names of pancseg's classes."""
    if error["type"] == "model_type":
        return "it holds no settings (expected 'key: value' lines under it)"
    return excerpt(error["msg"].removeprefix("Value error, "), 200)


def shipped_names(folder: Path) -> list[str]:
    """Return the names of the YAML files in a folder that comes with pancseg."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def shipped_or_own(name_or_path: str | Path, folder: Path, kind: str) -> Path:
    """Return the path of a YAML file, given by its path or by the name of a shipped file.

    Args:
        name_or_path: stem of a file in ``folder``, or a path.
        folder: folder of the files that come with pancseg.
        kind: what such a file is called in messages, such as ``preset``.

    Raises:
        FileNotFoundError: ``name_or_path`` is neither.
    """
    names = shipped_names(folder)
    path = folder / f"{name_or_path}.yaml" if str(name_or_path) in names else Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no such {kind} or file; give a YAML file, or one of the {kind}s {', '.join(names)}"
        )
    return path
