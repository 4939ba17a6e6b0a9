"""Reads settings from YAML files, with one set of rules and one-line errors for all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Settings = TypeVar("Settings", bound=BaseModel)


def read_yaml_mapping(path: Path, what: str) -> dict[str, Any]:
    """Return the settings of a YAML (or JSON) file.

    Numbers are those of YAML 1.2, as in pyradiomics: ``1e-6`` and ``1e1`` are numbers, which YAML
    1.1 takes for text. A key must not be given twice in a mapping, at any depth.

    Args:
        path: the file.
        what: how messages call the file, whose path may tell a patient's name.

    Raises:
        OSError: the file cannot be read.
        ValueError: one line: not YAML, a key given twice, no mapping, or a key that is no word.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Yaml12Loader)
    except _RepeatedKey as error:
        raise ValueError(f"{what}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{what} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{what} holds no settings (expected 'key: value' lines)")
    if others := [key for key in content if not isinstance(key, str)]:
        raise ValueError(f"{what}: {others[0]!r} is no key of settings; keys are words")
    return content


def settings_of(
    kind: type[Settings], content: object, what: str, under: Sequence[str] = ()
) -> Settings:
    """Return a settings object made from what a file holds.

    Args:
        kind: of settings.
        content: key → value.
        what: how messages call the file.
        under: the keys of the file that ``content`` stands under.

    Raises:
        ValueError: one line that names every key that is unknown or has an impossible value.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, (*under, *each['loc']))) or 'the file'}: "
            + each["msg"].removeprefix("Value error, ")
            for each in error.errors()
        )
        raise ValueError(f"{what}: {problems}") from error


def shipped_names(folder: Path) -> list[str]:
    """Return the names of the YAML files in a folder of pancseg."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def shipped_or_own(name_or_path: str | Path, folder: Path, kind: str) -> Path:
    """Return the path of a YAML file that comes with pancseg, by its name, or of the user's own.

    Args:
        name_or_path: the stem of a file in ``folder``, or a path.
        folder: of pancseg.
        kind: what each of them is, such as ``preset``.

    Raises:
        FileNotFoundError: it is neither.
    """
    names = shipped_names(folder)
    path = folder / f"{name_or_path}.yaml" if str(name_or_path) in names else Path(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no such {kind} or file; {kind}s are {', '.join(names)}, or give a YAML file"
        )
    return path


class _RepeatedKey(yaml.YAMLError):
    """A key is given twice in one mapping; PyYAML alone would take the last without a word."""


class _Yaml12Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the floats of YAML 1.2, which refuses a key given twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return a mapping as it is written, before others are merged into it.

        Raises:
            _RepeatedKey: a key is given in it twice.
        """
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    line = key.start_mark.line + 1
                    raise _RepeatedKey(f"{key.value!r} is given twice, again on line {line}")
                seen.add((key.tag, key.value))
        return node


_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
